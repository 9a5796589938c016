"""An ECS whose agent a test is: tasks are pending until it starts them, and healthy when it says.

moto records services but never starts tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tests.stacks.cloud.sessions import handled
from tests.unit.adapters.aws.fake_ecs import FakeEcs, Json, eni

_AFTER = {"PENDING": ("RUNNING", "UNKNOWN"), "RUNNING": ("RUNNING", "HEALTHY")}


@dataclass
class Ecs(FakeEcs):
    """`told` has what the world has been told of each task. `is_full`: no task finds a place."""

    is_full: bool = False
    told: dict[str, str] = field(default_factory=dict)

    def answering(self) -> AbstractContextManager[None]:
        """Answer the clients of every session that is made meanwhile."""
        return handled(
            ("before-parameter-build.ecs", self._hear), ("before-call.ecs", self._answer)
        )

    def adopt(self, service: Json, tags: Mapping[str, str]) -> None:
        """Run a service that a stack made."""
        self.services[service["serviceName"]] = {
            **{key: service[key] for key in ("serviceName", "serviceArn", "desiredCount")},
            "taskDefinition": service["taskDefinition"],
            "status": "ACTIVE",
            "createdAt": self._now(),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
            "deployments": [{"status": "PRIMARY", "rolloutState": "COMPLETED"}],
        }

    def advance(self) -> list[Json]:
        """Bring every task one step nearer to what is asked for; return the events of it."""
        self._schedule()
        for task in self.tasks.values():
            state = task["lastStatus"]
            if task["desiredStatus"] == "RUNNING" and state in _AFTER and not self.is_full:
                task["lastStatus"], task["healthStatus"] = _AFTER[state]
        return list(self.news())

    def tags_of(self, task: str) -> dict[str, str]:
        """Of a task, by its ARN."""
        return {tag["key"]: tag["value"] for tag in self.tasks[task]["tags"]}

    def running(self, service: str) -> list[Json]:
        """The tasks of a service that have not been told to end."""
        return self._running(service)

    def _start(self, name: str) -> None:
        """The tags of a service go on to its tasks: PropagateTags is SERVICE."""
        super()._start(name)
        task = list(self.tasks.values())[-1]
        at = len(self.tasks)
        task |= {
            "lastStatus": "PENDING",
            "healthStatus": "UNKNOWN",
            "attachments": [eni(f"10.0.{at // 250}.{at % 250 + 1}")],
            "tags": self.services[name]["tags"],
            "taskDefinitionArn": self.services[name]["taskDefinition"],
        }

    def news(self) -> Iterator[Json]:
        for arn, task in self.tasks.items():
            now = f"{task['lastStatus']} {task['healthStatus']}"
            if self.told.get(arn) != now:
                self.told[arn] = now
                yield {
                    "source": "aws.ecs",
                    "detail-type": "ECS Task State Change",
                    "detail": {
                        "clusterArn": f"{self.arn}:cluster/{self.cluster}",
                        "group": task["group"],
                        "lastStatus": task["lastStatus"],
                        "taskArn": arn,
                    },
                }
