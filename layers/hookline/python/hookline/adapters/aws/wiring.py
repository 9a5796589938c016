"""Build the ports of a process on AWS."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial

from hookline.adapters.absent_fleet import AbsentFleet
from hookline.adapters.aws.blobs import S3Blobs
from hookline.adapters.aws.catalog import DynamoCatalog
from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.fleet import EcsFleet
from hookline.adapters.aws.linked import open_link
from hookline.adapters.aws.queue import SqsQueue
from hookline.adapters.aws.settings import AwsSettings, from_environment
from hookline.adapters.aws.topics import publish
from hookline.core.ports import Fleet, Ports
from hookline.core.targets import Targets


def ports_from_env(environ: Mapping[str, str] = os.environ) -> Ports:
    """The ports that the environment describes. Raise BadRequest when it does not."""
    return ports(from_environment(environ), Clients())


def targets_from_env(environ: Mapping[str, str] = os.environ) -> Targets:
    """What may be told of the end of a job, as the environment describes it."""
    return Targets(topics=frozenset(from_environment(environ).topics))


def publisher() -> Callable[[str, bytes], None]:
    """What sends a message to a topic. Nothing is asked of AWS yet."""
    return partial(publish, Clients())


def ports(
    settings: AwsSettings, clients: Clients, *, clock: Callable[[], float] = time.time
) -> Ports:
    """The ports over what the stacks made. Nothing is asked of AWS yet."""
    return Ports(
        catalog=DynamoCatalog(clients, settings.table),
        blobs=S3Blobs(clients, settings.bucket),
        queue=SqsQueue(clients, settings.queues, clock=clock),
        fleet=_fleet(settings, clients),
        linked=partial(open_link, clients=clients, own_bucket=settings.bucket),
        bucket=settings.bucket,
        clock=clock,
        quotas=settings.quotas,
    )


def _fleet(settings: AwsSettings, clients: Clients) -> Fleet:
    if settings.fleet is None:
        return AbsentFleet("HOOKLINE_CLUSTER is not set: only functions keep processes.")
    return EcsFleet(clients, settings.fleet, owner=settings.tenant)
