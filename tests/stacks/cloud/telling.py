"""A topic that is told of the end of jobs: at the second try, by whoever ended them, and late."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from moto.sns.models import sns_backends

from hookline.control import overdue
from hookline.core.records import JOB_ENDS, Job, Volume
from hookline.core.topology import FINISH, queue_spec
from tests.stacks.cloud import client, story
from tests.stacks.cloud.cloud import Cloud
from tests.stacks.cloud.deploying import ACCOUNT, REGION
from tests.stacks.cloud.tenant import Tenant

TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:done"
UNAVAILABLE = "ServiceUnavailable"


@dataclass
class Telling:
    """`broken_id` is a volume whose code cannot be imported."""

    cloud: Cloud
    tenant: Tenant
    model_id: int
    volume_id: int
    broken_id: int

    def tell(self) -> None:
        """All of it."""
        self.cloud.account.client("sns").create_topic(Name=TOPIC.rpartition(":")[2])
        self.a_topic_that_is_away()
        self.a_job_that_cannot_be_planned()
        self.a_job_whose_code_fails()
        self.a_message_that_is_lost()

    def a_topic_that_is_away(self) -> None:
        """The second try gets through."""
        self._refuse("notify", "sns:Publish")
        job_id = self._submitted(self.volume_id)
        self._expect_told(job_id, "Completed", attempts=2)

    def a_job_that_cannot_be_planned(self) -> None:
        """Its volume is gone: the planner ends it."""
        volume_id = client.volume(self.tenant, {}, "gone")
        job_id = self._submitted(volume_id)
        catalog = self.cloud.ports(self.tenant.name).catalog
        volume = catalog.get(Volume, self.tenant.name, volume_id)
        assert volume
        catalog.delete(volume)
        self._expect_told(job_id, "Failed")

    def a_job_whose_code_fails(self) -> None:
        """The worker ends it."""
        job_id = self._submitted(self.volume_id, bundle={"volume_id": self.broken_id})
        self._expect_told(job_id, "Failed")

    def a_message_that_is_lost(self) -> None:
        """The finisher dies between its commit and its message; the schedule sends it later."""
        job_id = self._submitted(self.volume_id)
        self._refuse("finish", "sqs:SendMessageBatch")
        self.cloud.until(
            lambda: client.job(self.tenant, job_id)["status"] in JOB_ENDS, f"The end of {job_id}"
        )
        self.cloud.account.clock.ahead_s += queue_spec(FINISH).lease_s
        self.cloud.settle()
        assert self._told_of(job_id) == []
        catalog = self.cloud.ports(self.tenant.name).catalog
        job = catalog.get(Job, self.tenant.name, job_id)
        swept = catalog.get(overdue.Sweep, self.tenant.name, Job.kind)
        assert job
        assert swept
        catalog.put(job.changed(updated_at=job.updated_at - 2 * overdue.OVERDUE_S - 1))
        catalog.put(swept.changed(at=swept.at - overdue.SWEEP_EVERY_S))
        self.tenant.tick()
        self._expect_told(job_id, "Completed")

    def _refuse(self, name: str, operation: str) -> None:
        self.cloud.account.recorder.refuse(self.tenant.principal(name), operation, UNAVAILABLE)

    def _submitted(self, volume_id: int, **serving: Any) -> int:
        return client.submitted(self.tenant, self.model_id, volume_id, notify=TOPIC, **serving)

    def _expect_told(self, job_id: int, status: str, *, attempts: int = 1) -> None:
        job = story.ended(self.cloud, self.tenant, job_id)
        notice = job["notice"]
        assert (job["status"], notice["status"]) == (status, "delivered"), job
        assert notice["attempts"] == attempts, notice
        assert self._told_of(job_id) == [status]
        self.cloud.say(f"batch {job_id}: {TOPIC} is told that it is {status}, at try {attempts}")

    def _told_of(self, job_id: int) -> list[str]:
        """The ends of a job that the topic was told of."""
        sent = sns_backends[ACCOUNT][REGION].topics[TOPIC].sent_notifications
        jobs = [json.loads(str(message))["job"] for _, message, *_ in sent]
        return [job["status"] for job in jobs if job["id"] == job_id]
