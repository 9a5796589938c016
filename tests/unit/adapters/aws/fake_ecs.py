"""ECS in memory, behind a real client: requests are validated and errors raised as by botocore.

moto records services but never starts tasks; this scheduler does, whenever someone looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hookline.adapters.aws.clients import Clients

CLUSTER = "main"
ARN = "arn:aws:ecs:eu-central-1:123456789012"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

Json = dict[str, Any]


class EcsError(Exception):
    """What ECS answers instead."""


@dataclass
class FakeEcs:
    """`services` by name and `tasks` by ARN, as the API shows them; tests may change both.

    `calls` are the operations asked for, with their parameters. `drains_slowly`: a deleted service
    with tasks stays DRAINING until the test takes its tasks away. `arn` is how all ARNs begin.
    """

    services: dict[str, Json] = field(default_factory=dict)
    tasks: dict[str, Json] = field(default_factory=dict)
    calls: list[tuple[str, Json]] = field(default_factory=list)
    drains_slowly: bool = False
    starts_tasks: bool = True
    made: int = 0
    arn: str = ARN
    cluster: str = CLUSTER

    def attach(self, clients: Clients) -> None:
        """Answer everything that the client of these asks."""
        events: Any = clients.ecs.meta.events  # the stubs say that no handler answers
        events.register("before-parameter-build.ecs", self._hear)
        events.register("before-call.ecs", self._answer)

    def called(self, operation: str) -> list[Json]:
        return [params for name, params in self.calls if name == operation]

    def stop(self, arn: str, code: str, reason: str, *, exit_code: int | None = None) -> None:
        """A task ended."""
        self.tasks[arn] |= {
            "lastStatus": "STOPPED",
            "desiredStatus": "STOPPED",
            "stopCode": code,
            "stoppedReason": reason,
            "containers": [{"name": "runtime", "exitCode": exit_code}] if exit_code else [],
        }

    def of(self, service: str) -> list[Json]:
        return [task for task in self.tasks.values() if task["group"] == f"service:{service}"]

    def _hear(self, params: Json, context: Json, **_: object) -> None:
        context["heard"] = dict(params)

    def _answer(self, model: Any, context: Json, **_: object) -> tuple[Any, Json]:
        params = context["heard"]
        self.calls.append((model.name, params))
        self._schedule()
        try:
            answer = getattr(self, f"_{model.name}")(params)
        except EcsError as error:
            code, message = error.args
            return SimpleNamespace(status_code=400), {"Error": {"Code": code, "Message": message}}
        return SimpleNamespace(status_code=200), answer

    def _CreateService(self, params: Json) -> Json:  # noqa: N802 - named by AWS
        name = params["serviceName"]
        former = self.services.get(name)
        if former and former["status"] == "DRAINING":
            message = "Unable to Start a service that is still Draining."
            raise EcsError("InvalidParameterException", message)
        if former and former["status"] == "ACTIVE":
            message = "Creation of service was not idempotent."
            raise EcsError("InvalidParameterException", message)
        self.services[name] = service = {
            "serviceName": name,
            "serviceArn": f"{self.arn}:service/{self.cluster}/{name}",
            "status": "ACTIVE",
            "desiredCount": params["desiredCount"],
            "taskDefinition": full_arn(params["taskDefinition"]),
            "createdAt": self._now(),
            "tags": params["tags"],
            "deployments": [{"status": "PRIMARY", "rolloutState": "IN_PROGRESS"}],
        }
        return {"service": service}

    def _UpdateService(self, params: Json) -> Json:  # noqa: N802 - named by AWS
        service = self._active(params["service"])
        service["desiredCount"] = params["desiredCount"]
        service["taskDefinition"] = full_arn(params["taskDefinition"])
        return {"service": service}

    def _DeleteService(self, params: Json) -> Json:  # noqa: N802 - named by AWS
        service = self._active(params["service"])
        is_draining = self.drains_slowly and self._running(service["serviceName"])
        service |= {"status": "DRAINING" if is_draining else "INACTIVE", "desiredCount": 0}
        self._schedule()
        return {"service": service}

    def _DescribeServices(self, params: Json) -> Json:  # noqa: N802 - named by AWS
        assert len(params["services"]) <= 10
        found = [self.services[name] for name in params["services"] if name in self.services]
        missing = [name for name in params["services"] if name not in self.services]
        return {
            "services": found,
            "failures": [{"arn": name, "reason": "MISSING"} for name in missing],
        }

    def _ListServices(self, params: Json) -> Json:  # noqa: N802 - named by AWS
        arns = sorted(
            service["serviceArn"]
            for service in self.services.values()
            if service["status"] != "INACTIVE"
        )
        return paged(arns, params, "serviceArns")

    def _ListTasks(self, params: Json) -> Json:  # noqa: N802 - named by AWS
        service = self.services.get(params["serviceName"])
        if service is None:
            raise EcsError("ServiceNotFoundException", "Service not found.")
        arns = [
            arn
            for arn, task in self.tasks.items()
            if task["group"] == f"service:{params['serviceName']}"
            and task["desiredStatus"] == params["desiredStatus"]
        ]
        return paged(arns, params, "taskArns")

    def _DescribeTasks(self, params: Json) -> Json:  # noqa: N802 - named by AWS
        assert 1 <= len(params["tasks"]) <= 100
        return {"tasks": [self.tasks[arn] for arn in params["tasks"] if arn in self.tasks]}

    def _active(self, name: str) -> Json:
        service = self.services.get(name)
        if service is None:
            raise EcsError("ServiceNotFoundException", "Service not found.")
        if service["status"] != "ACTIVE":
            raise EcsError("ServiceNotActiveException", "Service was not ACTIVE.")
        return service

    def _schedule(self) -> None:
        for name, service in self.services.items():
            running = self._running(name)
            for task in running[service["desiredCount"] :]:
                reason = "Scaling activity initiated by (deployment ecs-svc/1)"
                if service["status"] != "DRAINING":
                    self.stop(task["taskArn"], "ServiceSchedulerInitiated", reason)
            for _ in range(len(running), service["desiredCount"] if self.starts_tasks else 0):
                self._start(name)

    def _running(self, name: str) -> list[Json]:
        return [task for task in self.of(name) if task["desiredStatus"] == "RUNNING"]

    def _start(self, name: str) -> None:
        now = self._now()
        arn = f"{self.arn}:task/{self.cluster}/{self.made:032x}"
        self.tasks[arn] = {
            "taskArn": arn,
            "group": f"service:{name}",
            "lastStatus": "RUNNING",
            "desiredStatus": "RUNNING",
            "healthStatus": "HEALTHY",
            "createdAt": now,
            "startedAt": now,
            "attachments": [eni(f"10.0.0.{self.made}")],
            "containers": [],
        }

    def _now(self) -> datetime:
        """Later at each call."""
        self.made += 1
        return EPOCH + timedelta(seconds=self.made)


def eni(address: str) -> Json:
    details = [
        {"name": "subnetId", "value": "subnet-1"},
        {"name": "privateIPv4Address", "value": address},
    ]
    return {"type": "ElasticNetworkInterface", "details": details}


def full_arn(definition: str) -> str:
    if definition.startswith("arn:"):
        return definition
    revision = definition if ":" in definition else f"{definition}:7"
    return f"{ARN}:task-definition/{revision}"


def paged(arns: list[str], params: Json, name: str) -> Json:
    """Two at a time, whatever was asked for: continuing must work."""
    start = int(params.get("nextToken", 0))
    more = {"nextToken": str(start + 2)} if start + 2 < len(arns) else {}
    return {name: arns[start : start + 2], **more}
