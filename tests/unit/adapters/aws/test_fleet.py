from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.stub import Stubber

from hookline.adapters.aws.fleet import EcsFleet
from hookline.core.endings import EXIT_START_FAILED, EXIT_TRY_AGAIN, REPLICA_FAILED, told
from hookline.core.errors import (
    Conflict,
    InvalidBundle,
    InvalidInput,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from hookline.core.ports import MAX_RECORD_BYTES, Failure, Group, GroupState
from hookline.core.records import PLATFORM
from tests.fakes import FakeClock
from tests.unit.adapters.aws.fake_ecs import EPOCH, FakeEcs
from tests.unit.adapters.aws.fleets import SETTINGS, ecs_fleet
from tests.unit.adapters.aws.world import fresh_clients

GROUP = Group(tenant="t", name="stream-1", role="stream", count=1)
SERVICE = "t--stream-1"
TOLD = json.dumps(
    {"event": REPLICA_FAILED, **told(InvalidBundle("The bundle is bad.", trace="line 3"))}
)


@pytest.fixture
def ecs() -> FakeEcs:
    return FakeEcs()


def running(ecs: FakeEcs) -> EcsFleet:
    fleet = ecs_fleet(ecs)
    fleet.ensure(GROUP)
    fleet.observe()
    return fleet


def only_task(ecs: FakeEcs) -> str:
    [arn] = ecs.tasks
    return arn


def logged(fleet: EcsFleet, *lines: str) -> None:
    """The log of the next task that is asked for."""
    events = [{"timestamp": 1, "message": line} for line in lines]
    hooks: Any = fleet._clients.logs.meta.events  # the stubs say that no handler answers
    hooks.register(
        "before-call.logs.GetLogEvents",
        lambda **_: (SimpleNamespace(status_code=200), {"events": events}),
    )


# --- ensure --------------------------------------------------------------------------------


def test_a_new_group_is_a_service_of_its_tenant(ecs: FakeEcs) -> None:
    ecs_fleet(ecs).ensure(GROUP)
    [asked] = ecs.called("CreateService")

    assert (asked["serviceName"], asked["desiredCount"]) == (SERVICE, 1)
    assert asked["taskDefinition"] == "t-stream-cpu:7"
    assert asked["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE", "weight": 1}]
    assert asked["deploymentConfiguration"]["deploymentCircuitBreaker"]["enable"]
    assert asked["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"
    assert {"key": "hookline:tenant", "value": "t"} in asked["tags"]
    assert (asked["propagateTags"], asked["enableECSManagedTags"]) == ("SERVICE", True)
    assert 1 <= len(asked["clientToken"]) <= 36  # CreateService API


@pytest.mark.parametrize(
    ("device", "gpus", "definition"),
    [("gpu", 1, "t-stream-gpu:7"), ("gpu", 0, "t-stream-gpu:7"), ("gpu", 4, "t-stream-gpu-4:7")],
)
def test_a_device_has_its_definition_and_its_capacity(
    ecs: FakeEcs, device: str, gpus: int, definition: str
) -> None:
    ecs_fleet(ecs).ensure(replace(GROUP, device=device, gpus=gpus))
    [asked] = ecs.called("CreateService")

    assert asked["taskDefinition"] == definition
    assert asked["capacityProviderStrategy"][0]["capacityProvider"] == "gpus"


def test_a_device_that_was_not_deployed_is_named_with_those_that_were(ecs: FakeEcs) -> None:
    with pytest.raises(InvalidInput, match=r"stream-inf1.*stream-cpu, stream-gpu"):
        ecs_fleet(ecs).ensure(replace(GROUP, device="inf1"))


def test_a_running_group_costs_one_look(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    ecs.calls.clear()
    fleet.ensure(GROUP)

    assert [name for name, _ in ecs.calls] == ["DescribeServices"]


def test_a_newer_definition_is_deployed(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    newer = replace(SETTINGS, task_definitions={"stream-cpu": "t-stream-cpu:8"})
    EcsFleet(fleet._clients, newer).ensure(GROUP)
    [asked] = ecs.called("UpdateService")

    assert (asked["desiredCount"], asked["taskDefinition"]) == (1, "t-stream-cpu:8")


@pytest.mark.parametrize(
    "name", ["t-stream-cpu", "arn:aws:ecs:eu-central-1:123456789012:task-definition/t-stream-cpu:7"]
)
def test_a_definition_may_be_a_family_or_an_arn(ecs: FakeEcs, name: str) -> None:
    fleet = running(ecs)
    EcsFleet(fleet._clients, replace(SETTINGS, task_definitions={"stream-cpu": name})).ensure(GROUP)

    assert ecs.called("UpdateService") == []


def test_a_removed_group_comes_back_once_it_has_drained(ecs: FakeEcs) -> None:
    ecs.drains_slowly = True
    fleet = running(ecs)
    fleet.remove("t", "stream-1")

    with pytest.raises(Unavailable, match="still draining"):
        fleet.ensure(GROUP)
    ecs.stop(only_task(ecs), "ServiceSchedulerInitiated", "Scaling activity")
    ecs.services[SERVICE]["status"] = "INACTIVE"
    fleet.ensure(GROUP)
    first, second = ecs.called("CreateService")
    assert first["clientToken"] != second["clientToken"]  # or ECS would answer with the old one


def test_a_repeated_creation_is_the_same_creation(ecs: FakeEcs) -> None:
    ecs_fleet(ecs).ensure(GROUP)
    ecs.services.clear()  # as ECS may show it for a moment
    ecs_fleet(ecs).ensure(GROUP)
    first, second = ecs.called("CreateService")

    assert first == second


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("InvalidParameterException", "Creation of service was not idempotent.", Conflict),
        (
            "InvalidParameterException",
            "Unable to Start a service that is still Draining.",
            Unavailable,
        ),
        ("ThrottlingException", "Rate exceeded", TooManyRequests),
        ("ServerException", "oops", Unavailable),
    ],
)
def test_what_ecs_refuses_is_ours(code: str, message: str, kind: type[Exception]) -> None:
    clients = fresh_clients()
    failures = [{"arn": "arn:x", "reason": "MISSING"}]
    with Stubber(clients.ecs) as stub:
        stub.add_response("describe_services", {"services": [], "failures": failures})
        stub.add_client_error(
            "create_service", code, message, 500 if code == "ServerException" else 400
        )
        with pytest.raises(kind):
            EcsFleet(clients, SETTINGS).ensure(GROUP)


def test_a_service_that_ends_between_look_and_change_is_worth_a_retry(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    clients = fresh_clients()
    with Stubber(clients.ecs) as stub:
        stub.add_response("describe_services", {"services": [ecs.services[SERVICE]]})
        stub.add_client_error("update_service", "ServiceNotActiveException")
        with pytest.raises(Unavailable):
            EcsFleet(clients, SETTINGS).ensure(replace(GROUP, count=2))
    assert len(fleet.observe()) == 1


# --- observe -------------------------------------------------------------------------------


def test_a_process_is_a_task_with_its_address(ecs: FakeEcs) -> None:
    [process] = running(ecs).observe("t", "stream-1")

    assert process.process_id == only_task(ecs).rpartition("/")[2]
    assert (process.state, process.failure) == ("ready", None)
    assert process.address.startswith("http://10.0.0.")
    assert process.address.endswith(":8080")
    assert process.started_at == ecs.tasks[only_task(ecs)]["startedAt"].timestamp()


@pytest.mark.parametrize(
    ("last", "desired", "health", "state"),
    [
        ("PROVISIONING", "RUNNING", "UNKNOWN", "starting"),
        ("PENDING", "RUNNING", "UNKNOWN", "starting"),
        ("ACTIVATING", "RUNNING", "UNKNOWN", "starting"),
        ("RUNNING", "RUNNING", "UNKNOWN", "starting"),
        ("RUNNING", "RUNNING", "HEALTHY", "ready"),
        ("RUNNING", "RUNNING", "UNHEALTHY", "draining"),
        ("RUNNING", "STOPPED", "HEALTHY", "draining"),
        ("DEACTIVATING", "STOPPED", "HEALTHY", "draining"),
        ("STOPPING", "STOPPED", "UNKNOWN", "draining"),
        ("DEPROVISIONING", "STOPPED", "UNKNOWN", "draining"),
    ],
)
def test_a_state_is_what_ecs_and_the_health_check_say(
    ecs: FakeEcs, last: str, desired: str, health: str, state: GroupState
) -> None:
    fleet = running(ecs)
    ecs.starts_tasks = False
    ecs.tasks[only_task(ecs)] |= {
        "lastStatus": last,
        "desiredStatus": desired,
        "healthStatus": health,
    }

    assert [process.state for process in fleet.observe()] == [state]


def test_a_task_without_an_interface_has_no_address_yet(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    ecs.tasks[only_task(ecs)] |= {"lastStatus": "PROVISIONING", "attachments": []}

    assert fleet.observe()[0].address == ""


def test_the_last_that_ended_by_itself_says_why_with_its_last_lines(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    arn = only_task(ecs)
    reason = "Essential container in task exited"
    ecs.stop(arn, "EssentialContainerExited", reason, exit_code=137)
    ecs.tasks[arn]["containers"][0]["reason"] = "OutOfMemoryError: Container killed"
    logged(fleet, "loading", "Killed")
    ended = [process for process in fleet.observe() if process.state == "exited"]

    message = "The process ended with exit code 137. OutOfMemoryError: Container killed"
    assert [process.failure for process in ended] == [
        Failure("hook_crashed", message, "loading\nKilled")
    ]
    assert len(fleet.observe()) == 2  # ECS has started another


def test_a_process_that_could_not_start_says_why_itself(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    ecs.stop(only_task(ecs), "EssentialContainerExited", "exited", exit_code=EXIT_START_FAILED)
    logged(fleet, "loading", TOLD, "bye")
    [ended] = [process for process in fleet.observe() if process.state == "exited"]

    assert ended.failure == Failure("invalid_bundle", "The bundle is bad.", "line 3")


def test_a_print_that_looks_like_it_is_not_believed_of_a_process_that_ran(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    ecs.stop(only_task(ecs), "EssentialContainerExited", "exited", exit_code=1)
    logged(fleet, TOLD)
    [ended] = [process for process in fleet.observe() if process.state == "exited"]

    assert ended.failure == Failure(
        "hook_crashed", "The process ended with exit code 1. exited", TOLD
    )


def test_the_end_of_a_long_log_fits_into_a_record(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    ecs.stop(only_task(ecs), "EssentialContainerExited", "exited", exit_code=1)
    logged(fleet, *["x" * 200_000] * 5, "the end")
    [ended] = [process for process in fleet.observe() if process.state == "exited"]

    assert ended.failure is not None
    assert len(ended.failure.trace) < MAX_RECORD_BYTES / 4
    assert ended.failure.trace.endswith("the end")


def test_a_task_that_fails_its_health_check_has_ended_by_itself(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    reason = "Task failed container health checks"
    ecs.stop(only_task(ecs), "ServiceSchedulerInitiated", reason)
    logged(fleet)
    [ended] = [process for process in fleet.observe() if process.state == "exited"]

    assert ended.failure == Failure("hook_crashed", f"The process ended. {reason}", "")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/1)"),
        ("TaskFailedToStart", "Capacity is unavailable at this time"),
        ("SpotInterruption", "Your Spot Task was interrupted."),
    ],
)
def test_a_task_that_aws_ended_says_nothing_about_the_model(
    ecs: FakeEcs, code: str, reason: str
) -> None:
    fleet = running(ecs)
    ecs.stop(only_task(ecs), code, reason)

    assert [process.state for process in fleet.observe()] == ["ready"]


def test_a_process_that_aws_kept_from_starting_has_not_failed(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    ecs.stop(only_task(ecs), "EssentialContainerExited", "exited", exit_code=EXIT_TRY_AGAIN)
    logged(fleet, TOLD)

    assert [process.state for process in fleet.observe()] == ["ready"]  # ECS has started another


def test_a_deployment_that_ecs_gave_up_has_failed(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    ecs.starts_tasks = False
    ecs.stop(only_task(ecs), "TaskFailedToStart", "CannotPullContainerError: no such image")
    ecs.services[SERVICE]["deployments"] = [{"status": "PRIMARY", "rolloutState": "FAILED"}]
    logged(fleet, "one", "two")
    [process] = fleet.observe()

    assert process.state == "exited"
    assert process.failure is not None
    assert process.failure.code == "unavailable"
    assert "CannotPullContainerError" in process.failure.message
    assert process.failure.trace == "one\ntwo"


@pytest.mark.parametrize("exit_code", [EXIT_START_FAILED, EXIT_TRY_AGAIN])
def test_a_deployment_that_ecs_gave_up_tells_what_its_newest_task_told(
    ecs: FakeEcs, exit_code: int
) -> None:
    fleet = running(ecs)
    ecs.starts_tasks = False
    ecs.stop(only_task(ecs), "ServiceSchedulerInitiated", "given up", exit_code=exit_code)
    ecs.services[SERVICE]["deployments"] = [{"status": "PRIMARY", "rolloutState": "FAILED"}]
    logged(fleet, TOLD)
    [process] = fleet.observe()

    assert process.failure == Failure("invalid_bundle", "The bundle is bad.", "line 3")


def test_a_deployment_without_any_task_has_ecs_s_reason(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    ecs.starts_tasks = False
    ecs.tasks.clear()
    ecs.services[SERVICE]["deployments"] = [
        {"status": "PRIMARY", "rolloutState": "FAILED", "rolloutStateReason": "tasks failed"}
    ]
    [process] = fleet.observe()

    assert process.failure == Failure(
        "unavailable", "No process could be started. tasks failed", ""
    )


def test_ends_of_a_former_service_of_the_same_name_are_over(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    ecs.stop(only_task(ecs), "EssentialContainerExited", "exited", exit_code=1)
    ecs.services[SERVICE]["createdAt"] = EPOCH + timedelta(days=1)

    assert [process.state for process in fleet.observe()] == ["ready"]


def test_services_of_others_are_none_of_ours(ecs: FakeEcs) -> None:
    fleet = ecs_fleet(ecs, owner="acme")
    for tenant in ("acme", "acme-eu", "acm"):
        fleet.ensure(replace(GROUP, tenant=tenant))
    ecs_fleet(ecs, owner="acme-eu").ensure(replace(GROUP, tenant=PLATFORM, name="worker"))
    ecs.services["gateway"] = ecs.services["acme--stream-1"] | {"serviceName": "gateway"}

    assert {(process.tenant, process.group) for process in fleet.observe()} == {
        ("acme", "stream-1")
    }


def test_a_service_that_a_stack_made_is_never_taken_for_a_group(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    ecs.services[SERVICE]["tags"] = [{"key": "hookline:tenant", "value": "t"}]

    assert list(fleet.observe()) == []


def test_the_groups_of_the_platform_belong_to_the_owner_of_the_stack(ecs: FakeEcs) -> None:
    worker = Group(tenant=PLATFORM, name="worker", role="worker", count=1)
    fleet = ecs_fleet(ecs, owner="acme")
    fleet.ensure(worker)
    [asked] = ecs.called("CreateService")
    [process] = fleet.observe(PLATFORM, "worker")

    assert asked["serviceName"] == "acme--_worker"
    assert (process.tenant, process.group) == (PLATFORM, "worker")
    assert [found.group for found in fleet.observe(PLATFORM)] == ["worker"]


def test_many_services_and_tasks_are_asked_for_in_pieces(ecs: FakeEcs) -> None:
    fleet = ecs_fleet(ecs)
    for index in range(12):
        fleet.ensure(replace(GROUP, name=f"stream-{index}", count=11))

    assert len(fleet.observe()) == 132  # the fake refuses more than 10 services, or 100 tasks


# --- remove --------------------------------------------------------------------------------


def test_a_draining_group_shows_what_still_runs_and_no_old_ends(ecs: FakeEcs) -> None:
    ecs.drains_slowly = True
    fleet = ecs_fleet(ecs)
    fleet.ensure(replace(GROUP, count=2))
    fleet.observe()
    first = next(iter(ecs.tasks))
    fleet.remove("t", "stream-1")
    ecs.stop(first, "EssentialContainerExited", "exited", exit_code=1)

    assert [process.state for process in fleet.observe()] == ["ready"]


def test_removing_twice_is_once(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    fleet.remove("t", "stream-1")
    fleet.remove("t", "stream-1")

    assert ecs.called("DeleteService")[0]["force"] is True


def test_a_removal_that_ecs_refuses_is_told(ecs: FakeEcs) -> None:
    del ecs
    clients = fresh_clients()
    with Stubber(clients.ecs) as stub:
        stub.add_client_error("delete_service", "ThrottlingException")
        with pytest.raises(TooManyRequests):
            EcsFleet(clients, SETTINGS).remove("t", "stream-1")


# --- logs ----------------------------------------------------------------------------------


def test_the_lines_of_a_group_are_those_of_its_tasks(ecs: FakeEcs) -> None:
    fleet = ecs_fleet(ecs)
    fleet.ensure(replace(GROUP, count=2))
    fleet.observe()
    with Stubber(fleet._clients.logs) as stub:
        for at, arn in enumerate(ecs.tasks):
            asked = {
                "logGroupName": "/hookline/t",
                "logStreamNamePrefix": f"hookline/runtime/{arn.rpartition('/')[2]}",
                "startTime": 5,
                "endTime": int(FakeClock().now * 1000) - 2001,
            }
            events = [{"timestamp": time, "message": f"{at}@{time}"} for time in (10 - at, 20 - at)]
            stub.add_response("filter_log_events", {"events": events}, asked)
        lines, position = fleet.logs("t", "stream-1", after=5)

    assert list(lines) == ["1@9", "0@10", "1@19", "0@20"]
    assert position == int(FakeClock().now * 1000) - 2000


def test_no_log_of_an_ended_task_is_no_error(ecs: FakeEcs) -> None:
    fleet = running(ecs)
    ecs.stop(only_task(ecs), "EssentialContainerExited", "exited", exit_code=1)
    with Stubber(fleet._clients.logs) as stub:
        stub.add_client_error("get_log_events", "ResourceNotFoundException")
        [ended] = [process for process in fleet.observe() if process.state == "exited"]

    assert ended.failure is not None
    assert ended.failure.trace == ""


def test_a_fleet_in_a_cluster_that_is_gone_is_a_fault_not_an_absence() -> None:
    clients = fresh_clients()
    with Stubber(clients.ecs) as stub:
        stub.add_client_error("list_services", "ClusterNotFoundException")
        with pytest.raises(Exception, match="ListServices") as caught:
            EcsFleet(clients, SETTINGS).observe()
    assert not isinstance(caught.value, NotFound)
