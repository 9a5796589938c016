"""What lands in watched volumes: it gathers, waits for a marker, or its event is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from hookline.control.outbox import OVERDUE_S, Outgoing
from hookline.core.records import PLATFORM
from hookline.core.topology import DROPS, queue_spec
from hookline.core.triggers import Burst, Trigger
from tests.stacks.cloud import client, story
from tests.stacks.cloud.cloud import Cloud
from tests.stacks.cloud.tenant import Tenant

SETTLE_S = 30
LONG_S = 3600.0
UNAVAILABLE = "ServiceUnavailable"


@dataclass
class Landing:
    """`bucket` is one that the tenant may link; its owner has switched EventBridge on."""

    cloud: Cloud
    tenant: Tenant
    model_id: int
    bucket: str

    def land(self) -> None:
        """All of it."""
        self.files_that_gather()
        self.files_that_gather(is_untold=True)
        self.files_below_a_marker()
        self.files_without_an_event()

    def files_that_gather(self, *, is_untold: bool = False) -> None:
        """One job of two files, once none came for a while.

        `is_untold`: the message that says so is left behind, and the schedule sends it.
        """
        place, trigger_id = self._watched(self._own(), settle_s=SETTLE_S, max_wait_s=SETTLE_S)
        volume_id = int(place.rpartition("/")[2])
        if is_untold:
            refuse = self.cloud.account.recorder.refuse
            refuse(self.tenant.principal("drop"), "sqs:SendMessageBatch", UNAVAILABLE)
        client.put(self.tenant, volume_id, {"1.png": b"x", "2.png": b"x"})
        self.cloud.until(lambda: self._bursts(trigger_id), "That files gather")
        catalog = self.cloud.ports(self.tenant.name).catalog
        for burst in self._bursts(trigger_id):
            long_ago = {"first_at": burst.first_at - LONG_S, "last_at": burst.last_at - LONG_S}
            catalog.put(burst.changed(**long_ago))
        for left in catalog.query(Outgoing, PLATFORM).items:
            catalog.put(left.changed(created_at=left.created_at - LONG_S - OVERDUE_S))
        if is_untold:
            self.tenant.tick()
            self.cloud.account.clock.ahead_s += queue_spec(DROPS).lease_s  # the events come again
        names = self._dropped(place)
        assert names == ["1.png", "2.png"]
        how = "its message was left behind" if is_untold else "after a while"
        self.cloud.say(f"volume {volume_id}: {' and '.join(names)} became one job, {how}")

    def files_below_a_marker(self) -> None:
        """The job begins when the marker lands."""
        volume_id = self._own()
        place, _ = self._watched(volume_id, marker="_SUCCESS")
        client.put(self.tenant, volume_id, {"day/1.png": b"x", "day/2.png": b"x"})
        self.cloud.settle()
        client.put(self.tenant, volume_id, {"day/_SUCCESS": b""})
        names = self._dropped(place, but="day/_SUCCESS")
        assert names == ["day/1.png", "day/2.png"]
        self.cloud.say(
            f"volume {volume_id}: a marker landed, and {' and '.join(names)} became jobs"
        )

    def files_without_an_event(self) -> None:
        """Their events are lost; the sweep finds them."""
        s3 = self.cloud.account.client("s3")
        catalog = self.cloud.ports(self.tenant.name).catalog
        body = {"name": "swept", "link": f"s3://{self.bucket}/swept"}
        linked: int = self.tenant.ask("POST", "/v1/volumes", body)["id"]
        own = self._own()
        places = [self._watched(volume_id) for volume_id in (own, linked)]
        for _, trigger_id in places:
            trigger = catalog.get(Trigger, self.tenant.name, trigger_id)
            assert trigger
            catalog.put(trigger.changed(created_at=trigger.created_at - LONG_S))
        client.put(self.tenant, own, {"1.png": b"x"})
        s3.put_object(Bucket=self.bucket, Key="swept/1.png", Body=b"x")
        self._lost(DROPS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hookline.control.sweep.SETTLE_S", -LONG_S)  # files of this second
            self.tenant.tick()
        for place, _ in places:
            assert self._dropped(place) == ["1.png"]
        self.cloud.say(f"volumes {own} and {linked}: the sweep found files without an event")

    # --- what these are made of --------------------------------------------------------------

    def _own(self) -> int:
        return client.volume(self.tenant, {}, "landing")

    def _watched(self, volume_id: int, **gathering: Any) -> tuple[str, int]:
        place = f"/v1/volumes/{volume_id}"
        body = {"model_id": self.model_id, **gathering}
        return place, int(self.tenant.ask("POST", f"{place}/triggers", body)["id"])

    def _bursts(self, trigger_id: int) -> list[Burst]:
        found = self.cloud.ports(self.tenant.name).catalog.query(Burst, self.tenant.name).items
        return [burst for burst in found if burst.trigger_id == trigger_id and not burst.job_id]

    def _dropped(self, place: str, but: str = "") -> list[str]:
        """The names of what became jobs, once these have ended."""
        self.cloud.settle()
        drops = self.tenant.ask("GET", f"{place}/drops")["items"]
        found = [drop for drop in drops if drop["name"] != but]
        for job_id in {drop["job_id"] for drop in found}:
            assert story.ended(self.cloud, self.tenant, job_id)["status"] == "Completed"
        self.tenant.ask("DELETE", f"{place}/triggers")
        return [drop["name"] for drop in found]

    def _lost(self, queue: str) -> None:
        """Every message of a queue."""
        sqs, url = self.cloud.account.client("sqs"), self.tenant.queue_url(queue)
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
