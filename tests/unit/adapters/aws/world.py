"""AWS as moto plays it: in this process, on the test's clock, one request at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import count
from typing import Any, Final

import pytest
from botocore.session import Session
from moto import mock_aws
from moto.core.models import botocore_stubber

from hookline.adapters.aws import wiring
from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.queue import DEAD, SqsQueue
from hookline.adapters.aws.settings import AwsSettings
from hookline.core.ports import Ports
from hookline.core.topology import QUEUES, QueueSpec
from tests.fakes import FakeClock

MOTO = botocore_stubber.process_request
REGION: Final = "eu-central-1"
TABLE, BUCKET = "hookline", "hookline-t"


@contextmanager
def moto_ports(clock: FakeClock) -> Iterator[Ports]:
    """The ports over what a tenant's stack makes. They have no fleet."""
    with moto_clients(clock) as clients:
        make_table(clients)
        make_bucket(clients, BUCKET)
        urls = make_queues(clients)
        settings = AwsSettings(table=TABLE, bucket=BUCKET, queues=urls)
        ports = wiring.ports(settings, clients, clock=clock)
        yield replace(ports, queue=SqsQueue(clients, urls, clock=clock, wait_s=0))


@contextmanager
def moto_clients(clock: FakeClock) -> Iterator[Clients]:
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore_stubber, "process_request", one_at_a_time(MOTO))
        ticks = count()  # moto ends a lease a moment after its time, so its time never stands still
        patch.setattr("moto.sqs.models.unix_time", clock)
        patch.setattr(
            "moto.sqs.models.unix_time_millis", lambda: clock() * 1000 + next(ticks) / 1000
        )
        yield shared_clients()


def one_at_a_time(play: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """AWS is safe under concurrent requests; moto's checks and changes are not one step."""
    lock = threading.Lock()

    def locked(request: Any) -> Any:
        with lock:
            return play(request)

    return locked


@cache
def shared_clients() -> Clients:
    """Made once, as making them takes longer than a test; moto forgets what they did."""
    return fresh_clients()


def fresh_clients() -> Clients:
    """Clients with credentials that open nothing, for stubs to answer."""
    return Clients(_session())


@cache
def _session() -> Session:
    return session_in(REGION)


def session_in(region: str) -> Session:
    session = Session()
    session.set_credentials("testing", "testing")
    session.set_config_variable("region", region)
    return session


def make_table(clients: Clients) -> None:
    clients.dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    )


def make_bucket(clients: Clients, name: str) -> None:
    clients.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})


def make_queues(clients: Clients) -> dict[str, str]:
    """URLs by name, dead letters among them."""
    return {name: url for spec in QUEUES for name, url in _queue(clients, spec).items()}


def _queue(clients: Clients, spec: QueueSpec) -> dict[str, str]:
    dead = clients.sqs.create_queue(QueueName=spec.name + DEAD)["QueueUrl"]
    attributes = clients.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    arn = attributes["Attributes"]["QueueArn"]
    redrive = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": {spec.max_receives}}}'
    made = clients.sqs.create_queue(QueueName=spec.name, Attributes={"RedrivePolicy": redrive})
    return {spec.name: made["QueueUrl"], spec.name + DEAD: dead}
