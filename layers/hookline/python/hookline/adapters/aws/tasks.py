"""What ECS tells of a task, as a process of the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookline.adapters.aws.settings import PORT
from hookline.core import endings
from hookline.core.errors import HookCrashed, Unavailable
from hookline.core.ports import Failure, GroupState, Process

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import ServiceTypeDef, TaskTypeDef

_STARTING = frozenset({"PROVISIONING", "PENDING", "ACTIVATING"})
_EXITED = frozenset({"STOPPED", "DELETED"})
_READY_BY_HEALTH: dict[str, GroupState] = {"HEALTHY": "ready", "UNKNOWN": "starting"}


def process_of(place: tuple[str, str], task: TaskTypeDef, failure: Failure | None) -> Process:
    """The process that a task is."""
    address = _address(task)
    started = task.get("startedAt") or task.get("createdAt")
    return Process(
        *place,
        task_id(task["taskArn"]),
        state_of(task),
        address=f"http://{address}:{PORT}" if address else "",
        started_at=started.timestamp() if started else 0.0,
        failure=failure,
    )


def task_id(arn: str) -> str:
    """Unique in its cluster; also the end of the task's log stream's name."""
    return arn.rpartition("/")[2]


def state_of(task: TaskTypeDef) -> GroupState:
    """Ready once its health check has passed; a task that ECS is about to replace drains."""
    status = task.get("lastStatus", "")
    if status in _EXITED:
        return "exited"
    if task.get("desiredStatus") == "STOPPED":
        return "draining"
    if status in _STARTING:
        return "starting"
    if status == "RUNNING":
        return _READY_BY_HEALTH.get(task.get("healthStatus", "UNKNOWN"), "draining")
    return "draining"


def last_own_end(service: ServiceTypeDef, tasks: list[TaskTypeDef]) -> TaskTypeDef | None:
    """The newest task that ended by itself, in the life of this service.

    ECS starts others in its place. Tasks that ECS ended, or could not start for want of an address
    or an instance, say nothing about what ran in them; nor do those that AWS kept from starting.
    """
    ended = [
        task
        for task in tasks
        if state_of(task) == "exited"
        and task["createdAt"] >= service["createdAt"]
        and _is_own_end(task)
    ]
    return max(ended, key=lambda task: task["createdAt"], default=None)


def end_of(task: TaskTypeDef, last_lines: str) -> Failure:
    """Why a task ended: what it told, else what ECS says and its last lines."""
    if failure := _told(task, last_lines):
        return failure
    told = [container for container in task.get("containers", []) if container.get("exitCode")]
    code = f"ended with exit code {told[0]['exitCode']}" if told else "ended"
    reasons = [container.get("reason", "") for container in told] + [task.get("stoppedReason", "")]
    reason = next(filter(None, reasons), "")
    message = f"The process {code}. {reason}".strip()
    return Failure(HookCrashed.code, message, last_lines)


def newest_of(service: ServiceTypeDef, tasks: list[TaskTypeDef]) -> TaskTypeDef | None:
    """The task that was made last in the life of this service."""
    own = [task for task in tasks if task["createdAt"] >= service["createdAt"]]
    return max(own, key=lambda task: task["createdAt"], default=None)


def given_up(service: ServiceTypeDef) -> str | None:
    """Why ECS gave up on the newest deployment of a service; None while it has not."""
    for deployment in service.get("deployments", []):
        if deployment.get("status") == "PRIMARY" and deployment.get("rolloutState") == "FAILED":
            return deployment.get("rolloutStateReason", "")
    return None


def never_started(reason: str, newest: TaskTypeDef | None, last_lines: str) -> Failure:
    """What ECS gave up on for `reason`, from what the newest task left."""
    if newest is None:
        return _not_started(reason, "")
    failure = _told(newest, last_lines)
    return failure or _not_started(newest.get("stoppedReason") or reason, last_lines)


def _not_started(reason: str, last_lines: str) -> Failure:
    message = f"No process could be started. {reason}".strip()
    return Failure(Unavailable.code, message, last_lines)


def _told(task: TaskTypeDef, last_lines: str) -> Failure | None:
    """What a process said of its own start; of others, such a line is the user's own print."""
    has_told = _statuses(task) & {endings.EXIT_START_FAILED, endings.EXIT_TRY_AGAIN}
    return endings.read(last_lines) if has_told else None


def _is_own_end(task: TaskTypeDef) -> bool:
    if endings.EXIT_TRY_AGAIN in _statuses(task):
        return False
    is_unhealthy = "health check" in task.get("stoppedReason", "")
    return task.get("stopCode") == "EssentialContainerExited" or is_unhealthy


def _statuses(task: TaskTypeDef) -> set[int | None]:
    return {container.get("exitCode") for container in task.get("containers", [])}


def _address(task: TaskTypeDef) -> str:
    for attachment in task.get("attachments", []):
        for detail in attachment.get("details", []):
            if detail.get("name") == "privateIPv4Address":
                return detail.get("value", "")
    return ""
