"""The ECS task that this process runs in: what its metadata and ECS itself tell about it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.utils import ContainerMetadataFetcher

from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.errors import call, translated
from hookline.adapters.aws.services import place_of
from hookline.core.errors import NotFound, Unavailable

METADATA = "ECS_CONTAINER_METADATA_URI_V4"

_OF_SERVICE = "service:"


@dataclass(frozen=True, slots=True)
class OwnTask:
    """`cpus` are those that the task is limited to, 0.0 when it is not."""

    arn: str
    cluster: str
    cpus: float = 0.0


def own_task(environ: Mapping[str, str] = os.environ) -> OwnTask | None:
    """The task of this process; None outside of ECS. Raise Unavailable when it is not told."""
    endpoint = environ.get(METADATA)
    if not endpoint:
        return None
    with translated():
        told = ContainerMetadataFetcher().retrieve_full_uri(f"{endpoint}/task")
    try:
        return _task(told)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Unavailable(
            "ECS does not tell which task this is.", why=f"The answer of {METADATA} is another."
        ) from error


def own_group(clients: Clients, task: OwnTask, owner: str) -> tuple[str, str]:
    """Tenant and name of the group that the task belongs to. Raise NotFound if it has none.

    The metadata names the service on EC2 alone (task metadata endpoint V4), so ECS is asked.
    """
    answer = call(clients.ecs.describe_tasks, cluster=task.cluster, tasks=[task.arn])
    group = answer["tasks"][0].get("group", "") if answer["tasks"] else ""
    place = place_of(owner, group.removeprefix(_OF_SERVICE))
    if place is None or not group.startswith(_OF_SERVICE):
        raise NotFound(
            "This task belongs to no group of the fleet.",
            why=f"ECS says that its group is {group!r}.",
            hint="Tasks of streams are started by deploying a stream, not by hand.",
        )
    return place


def _task(told: Mapping[str, Any]) -> OwnTask:
    limits = told.get("Limits") or {}  # absent where the task has none, as on EC2
    return OwnTask(str(told["TaskARN"]), str(told["Cluster"]), float(limits.get("CPU", 0.0)))
