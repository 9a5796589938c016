"""A fleet over an ECS that starts tasks."""

from __future__ import annotations

from hookline.adapters.aws.fleet import EcsFleet
from hookline.adapters.aws.settings import FleetSettings
from hookline.core.records import PLATFORM
from tests.fakes import FakeClock
from tests.unit.adapters.aws.fake_ecs import CLUSTER, FakeEcs
from tests.unit.adapters.aws.world import fresh_clients

LOG_GROUP, LOG_STREAMS = "/hookline/t", "hookline/runtime"
SETTINGS = FleetSettings(
    cluster=CLUSTER,
    task_definitions={
        "stream-cpu": "t-stream-cpu:7",
        "stream-gpu": "t-stream-gpu:7",
        "stream-gpu-4": "t-stream-gpu-4:7",
        "worker-cpu": "t-worker-cpu:7",
    },
    subnets=("subnet-1", "subnet-2"),
    security_groups=("sg-1",),
    log_group=LOG_GROUP,
    log_streams=LOG_STREAMS,
    capacity_providers={"cpu": "FARGATE", "gpu": "gpus"},
)


def ecs_fleet(ecs: FakeEcs, *, owner: str = PLATFORM) -> EcsFleet:
    """A fleet that works on `ecs` alone."""
    clients = fresh_clients()
    ecs.attach(clients)
    return EcsFleet(clients, SETTINGS, owner=owner, clock=FakeClock())
