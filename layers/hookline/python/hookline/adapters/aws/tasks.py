"""What ECS tells of a task, as a process of the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookline.core.errors import HookCrashed, Unavailable
from hookline.core.ports import Failure, GroupState, Process

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import ServiceTypeDef, TaskTypeDef

PORT = 8080  # what the image listens on

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
    or an instance, say nothing about what ran in them.
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
    """Why a task ended, from what its containers left."""
    told = [container for container in task.get("containers", []) if container.get("exitCode")]
    code = f"ended with exit code {told[0]['exitCode']}" if told else "ended"
    reasons = [container.get("reason", "") for container in told] + [task.get("stoppedReason", "")]
    reason = next(filter(None, reasons), "")
    message = f"The process {code}. {reason}".strip()
    return Failure(HookCrashed.code, message, last_lines)


def never_started(service: ServiceTypeDef, tasks: list[TaskTypeDef]) -> Failure | None:
    """Why ECS gave up on the newest deployment of a service; None while it has not."""
    for deployment in service.get("deployments", []):
        if deployment.get("status") == "PRIMARY" and deployment.get("rolloutState") == "FAILED":
            newest = max(tasks, key=lambda task: task["createdAt"], default=None)
            reason = (newest or {}).get("stoppedReason") or deployment.get("rolloutStateReason", "")
            return Failure(Unavailable.code, f"No process could be started. {reason}".strip())
    return None


def _is_own_end(task: TaskTypeDef) -> bool:
    is_unhealthy = "health check" in task.get("stoppedReason", "")
    return task.get("stopCode") == "EssentialContainerExited" or is_unhealthy


def _address(task: TaskTypeDef) -> str:
    for attachment in task.get("attachments", []):
        for detail in attachment.get("details", []):
            if detail.get("name") == "privateIPv4Address":
                return detail.get("value", "")
    return ""
