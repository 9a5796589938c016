from __future__ import annotations

import pytest

from hookline.adapters.aws.task import METADATA, OwnTask, own_group, own_task
from hookline.core.errors import NotFound, Unavailable
from hookline.core.ports import Group
from hookline.core.records import PLATFORM
from tests.ecs_agent import agent, metadata
from tests.unit.adapters.aws.fake_ecs import CLUSTER, FakeEcs
from tests.unit.adapters.aws.fleets import ecs_fleet
from tests.unit.adapters.aws.world import fresh_clients

ARN = f"arn:aws:ecs:eu-central-1:123456789012:task/{CLUSTER}/1"


def asked_of(ecs: FakeEcs, arn: str, owner: str) -> tuple[str, str]:
    clients = fresh_clients()
    ecs.attach(clients)
    return own_group(clients, OwnTask(arn, CLUSTER), owner)


def started(tenant: str, group: str, owner: str = PLATFORM) -> tuple[FakeEcs, str]:
    """An ECS with one task of that group, and the task's ARN."""
    ecs = FakeEcs()
    fleet = ecs_fleet(ecs, owner=owner)
    fleet.ensure(Group(tenant, group, "stream", 1))
    fleet.observe()
    [arn] = ecs.tasks
    return ecs, arn


def test_outside_of_ecs_there_is_no_task() -> None:
    assert own_task({}) is None


@pytest.mark.parametrize(("cpus", "known"), [(0.25, 0.25), (2, 2.0), (None, 0.0)])
def test_a_task_knows_itself_by_its_metadata(cpus: float | None, known: float) -> None:
    with agent(metadata(ARN, CLUSTER, cpus=cpus)) as endpoint:
        assert own_task({METADATA: endpoint}) == OwnTask(ARN, CLUSTER, known)


@pytest.mark.parametrize("answer", [{}, [], {"TaskARN": ARN}, {"error": "no such task"}])
def test_other_metadata_is_a_fault_that_is_told(answer: object) -> None:
    with agent(answer) as endpoint, pytest.raises(Unavailable, match="which task this is"):
        own_task({METADATA: endpoint})


def test_the_group_of_a_task_is_that_of_its_service() -> None:
    ecs, arn = started("acme", "stream-23")

    assert asked_of(ecs, arn, "acme") == ("acme", "stream-23")
    assert ecs.called("DescribeTasks")[-1] == {"cluster": CLUSTER, "tasks": [arn]}


def test_a_task_of_another_tenant_is_none_of_ours() -> None:
    ecs, arn = started("globex", "stream-23")

    with pytest.raises(NotFound, match="no group"):
        asked_of(ecs, arn, "acme")


@pytest.mark.parametrize("group", ["family:stream-cpu", "acme--stream-1", "service:gateway"])
def test_a_task_that_no_fleet_started_has_no_group(group: str) -> None:
    ecs, arn = started("acme", "stream-23")
    ecs.tasks[arn]["group"] = group

    with pytest.raises(NotFound, match="no group"):
        asked_of(ecs, arn, "acme")


def test_a_task_that_ecs_does_not_know_has_no_group() -> None:
    with pytest.raises(NotFound, match="no group"):
        asked_of(FakeEcs(), ARN, "acme")
