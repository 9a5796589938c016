"""Fleet of ECS services: one per group, on the task definitions that the tenant's stack made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any

from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.errors import call, code_of, pages
from hookline.adapters.aws.services import definition_name, place_of, service_name
from hookline.adapters.aws.settings import FleetSettings
from hookline.adapters.aws.task_logs import TaskLogs
from hookline.adapters.aws.tasks import (
    end_of,
    given_up,
    last_own_end,
    never_started,
    newest_of,
    process_of,
    state_of,
    task_id,
)
from hookline.core.errors import HooklineError, InvalidInput, Unavailable
from hookline.core.ports import Group, Process
from hookline.core.records import PLATFORM

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import ServiceTypeDef, TaskTypeDef

_SERVICES, _TASKS = 10, 100  # DescribeServices and DescribeTasks APIs
_LISTED = 100  # ListServices and ListTasks APIs
_LOGGED_TASKS = 100
_GONE = frozenset({"ServiceNotFoundException", "ServiceNotActiveException"})
_GROUP_TAG = "hookline:group"


class EcsFleet:
    """ECS keeps the services running; its circuit breaker gives up on those that never start."""

    def __init__(
        self,
        clients: Clients,
        settings: FleetSettings,
        *,
        owner: str = PLATFORM,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clients, self._settings, self._owner = clients, settings, owner
        self._logs = TaskLogs(clients, settings, clock)

    def ensure(self, group: Group) -> None:
        """Raise Unavailable while a removed group of the same name is still draining."""
        name = service_name(self._owner, group.tenant, group.name)
        definition = self._definition(group)
        found = next(self._described([name]), None)
        status = found["status"] if found else "INACTIVE"
        if found is None or status == "INACTIVE":
            call(self._clients.ecs.create_service, **self._new(group, name, definition, found))
        elif status == "DRAINING":
            raise Unavailable(f"The service {name} is still draining.", hint="Retry in a minute.")
        elif found["desiredCount"] != group.count or not _runs(found, definition):
            call(
                self._clients.ecs.update_service,
                cluster=self._settings.cluster,
                service=name,
                desiredCount=group.count,
                taskDefinition=definition,
            )

    def observe(self, tenant: str = "", group: str = "") -> Sequence[Process]:
        if tenant and group:
            names: Iterable[str] = [service_name(self._owner, tenant, group)]
        else:
            names = self._names(tenant, group)
        services = self._described(names)
        return [process for service in services for process in self._processes(service)]

    def remove(self, tenant: str, group: str) -> None:
        name = service_name(self._owner, tenant, group)
        try:  # by force: with its tasks, which are asked to end first
            call(
                self._clients.ecs.delete_service,
                cluster=self._settings.cluster,
                service=name,
                force=True,
            )
        except HooklineError as error:
            if code_of(error) not in _GONE:
                raise

    def logs(self, tenant: str, group: str, *, after: int = 0) -> tuple[Sequence[str], int]:
        """Of tasks that run or ended within the hour, for which ECS remembers them."""
        arns = self._task_arns(service_name(self._owner, tenant, group))
        return self._logs.read([task_id(arn) for arn in arns[:_LOGGED_TASKS]], after)

    def _definition(self, group: Group) -> str:
        name = definition_name(group)
        if name not in self._settings.task_definitions:
            offered = ", ".join(sorted(self._settings.task_definitions))
            raise InvalidInput(
                f"Nothing here runs {name}.", why=f"This tenant was deployed with {offered}."
            )
        return self._settings.task_definitions[name]

    def _new(
        self, group: Group, name: str, definition: str, former: ServiceTypeDef | None
    ) -> dict[str, Any]:
        """What CreateService is to make. The token makes a repeated request find the first one's
        service; the former service of the name belongs to it, or it would be found instead.
        """
        provider = self._settings.capacity_providers.get(group.device)
        if provider is None:
            raise InvalidInput(f"There is no capacity for the device {group.device!r} here.")
        born = former["createdAt"].isoformat() if former else ""
        token = sha256(f"{name}\n{definition}\n{group.count}\n{born}".encode()).hexdigest()
        tags = {"hookline:tenant": group.tenant, _GROUP_TAG: group.name}
        return {
            "cluster": self._settings.cluster,
            "serviceName": name,
            "taskDefinition": definition,
            "desiredCount": group.count,
            "clientToken": token[:32],
            "capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}],
            "networkConfiguration": {
                "awsvpcConfiguration": {
                    "subnets": self._settings.subnets,
                    "securityGroups": self._settings.security_groups,
                    "assignPublicIp": "DISABLED",
                }
            },
            # No rollback: it would bring back what the next reconciliation replaces again.
            "deploymentConfiguration": {
                "deploymentCircuitBreaker": {"enable": True, "rollback": False}
            },
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
            "propagateTags": "SERVICE",
            "enableECSManagedTags": True,
        }

    def _names(self, tenant: str, group: str) -> Iterator[str]:
        """ECS lists a cluster's services without looking at their names."""
        asked = {"cluster": self._settings.cluster, "maxResults": _LISTED}
        for page in pages(self._clients.ecs.list_services, asked):
            for arn in page["serviceArns"]:
                name = arn.rpartition("/")[2]
                place = place_of(self._owner, name)
                if place and tenant in ("", place[0]) and group in ("", place[1]):
                    yield name

    def _described(self, names: Iterable[str]) -> Iterator[ServiceTypeDef]:
        """Those of the services that ECS remembers; INACTIVE ones are gone."""
        for some in _chunks(names, _SERVICES):
            answer = call(
                self._clients.ecs.describe_services,
                cluster=self._settings.cluster,
                services=some,
                include=["TAGS"],
            )
            yield from answer["services"]

    def _processes(self, service: ServiceTypeDef) -> Iterator[Process]:
        """Those that run; and the last that ended by itself, unless all of them are to end."""
        place = place_of(self._owner, service["serviceName"])
        if place is None or not _is_group(service) or service["status"] == "INACTIVE":
            return
        tasks = self._tasks(service["serviceName"])
        yield from (process_of(place, task, None) for task in tasks if state_of(task) != "exited")
        if service["status"] != "ACTIVE":
            return
        ended = last_own_end(service, tasks)
        if ended:
            yield process_of(place, ended, end_of(ended, self._last_lines(ended)))
        elif (reason := given_up(service)) is not None:
            newest = newest_of(service, tasks)
            failure = never_started(reason, newest, self._last_lines(newest))
            yield Process(*place, "", "exited", failure=failure)

    def _last_lines(self, task: TaskTypeDef | None) -> str:
        return self._logs.tail(task_id(task["taskArn"])) if task else ""

    def _tasks(self, service: str) -> list[TaskTypeDef]:
        found: list[TaskTypeDef] = []
        for arns in _chunks(self._task_arns(service), _TASKS):
            answer = call(
                self._clients.ecs.describe_tasks, cluster=self._settings.cluster, tasks=arns
            )
            found += answer["tasks"]
        return found

    def _task_arns(self, service: str) -> list[str]:
        """Tasks that are to run, then those that are to end or have ended; none if it is gone."""
        arns: list[str] = []
        for status in ("RUNNING", "STOPPED"):
            asked = {
                "cluster": self._settings.cluster,
                "serviceName": service,
                "desiredStatus": status,
                "maxResults": _LISTED,
            }
            try:
                for page in pages(self._clients.ecs.list_tasks, asked):
                    arns += page["taskArns"]
            except HooklineError as error:
                if code_of(error) not in _GONE:
                    raise
        return arns


def _chunks(items: Iterable[str], size: int) -> Iterator[list[str]]:
    left = iter(items)
    while some := list(islice(left, size)):
        yield some


def _is_group(service: ServiceTypeDef) -> bool:
    """Whether a fleet made it; a stack may have services of like names."""
    return any(tag.get("key") == _GROUP_TAG for tag in service.get("tags", []))


def _runs(service: ServiceTypeDef, definition: str) -> bool:
    """`definition` is an ARN, `family:revision`, or a family, of which any revision will do."""
    arn = service["taskDefinition"]
    revision = arn.rpartition("/")[2]
    return definition in (arn, revision, revision.rpartition(":")[0])
