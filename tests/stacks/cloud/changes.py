"""What a user changes while it runs: the model that a stream answers with, and its load."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from hookline.control.scaling import DOWN_S
from hookline.core.loads import Demand, Load
from hookline.core.topology import RECONCILE
from tests.polling import until
from tests.stacks.cloud import client, story
from tests.stacks.cloud.cloud import Cloud
from tests.stacks.cloud.processes import predict
from tests.stacks.cloud.tenant import Tenant

OK, HELD_S = 200, 60.0


def change(cloud: Cloud, tenant: Tenant) -> None:
    """All of it."""
    model_id, other_id = (client.imported(tenant, story.MODEL, name) for name in ("one", "two"))
    changes = Changes(cloud, tenant, model_id, other_id)
    changes.an_update()
    changes.a_sleep()


@dataclass
class Changes:
    """Streams deploy `model_id` first; `other_id` answers the same. `token`: the last stream's."""

    cloud: Cloud
    tenant: Tenant
    model_id: int
    other_id: int
    token: str = ""

    def an_update(self) -> None:
        """Another model takes over in a service of its own; then the old service goes."""
        stream_id = self._deployed()
        before = self._active()
        self.tenant.ask("PATCH", f"/v1/streams/{stream_id}", {"model_id": self.other_id})
        assert client.stream(self.tenant, stream_id)["status"] == "Updating"
        assert self._answered() == OK
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hookline.control.desired.GRACE_S", 0.0)  # of the functions' own clock
            story.expect(self.cloud, self.tenant, stream_id, "Running")
        gone, come = before - self._active(), self._active() - before
        assert (len(gone), len(come)) == (1, 1), (gone, come)
        assert self._answered() == OK
        self.cloud.say(f"update stream {stream_id}: {come.pop()} took over from {gone.pop()}")
        self._undeploy(stream_id)

    def a_sleep(self) -> None:
        """After a while without a request there is no replica; the next request is held for one."""
        stream_id = self._deployed(min_replicas=0, max_replicas=2)
        (service,) = (name for name in self._active() if name.endswith(f"-{stream_id}"))
        wanted = self.cloud.account.ecs.services[service]
        assert wanted["desiredCount"] == 1
        self._let_time_pass(stream_id)
        self.tenant.tick()
        assert wanted["desiredCount"] == 0
        self.cloud.settle()
        self.cloud.say(f"stream {stream_id} had no request for a while: it has no replica")
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(self._answered)
            until(lambda: self.tenant.depth(RECONCILE), HELD_S)
            self.cloud.until(
                lambda: client.stream(self.tenant, stream_id)["ready_replicas"],
                "That the request wakes the stream",
            )
            assert call.result() == OK
        self.cloud.say(f"stream {stream_id}: a request woke it, was held meanwhile, and answered")
        self._let_time_pass(stream_id)
        self.tenant.tick()
        assert not self.cloud.ports(self.tenant.name).catalog.query(Load, self.tenant.name).items
        self._undeploy(stream_id)

    def _let_time_pass(self, stream_id: int) -> None:
        """What gateways and the reconciler wrote of a stream's load was all written long ago."""
        catalog = self.cloud.ports(self.tenant.name).catalog
        demand = catalog.get(Demand, self.tenant.name, stream_id)
        assert demand
        catalog.put(demand.changed(recent=()))
        for load in catalog.query(Load, self.tenant.name).items:
            catalog.put(load.changed(updated_at=time.time() - DOWN_S))

    def _deployed(self, **scale: Any) -> int:
        made = self.tenant.ask("POST", "/v1/streams", {"model_id": self.model_id, **scale})
        self.token, stream_id = made["presigned_token"], int(made["id"])
        story.expect(self.cloud, self.tenant, stream_id, "Running")
        return stream_id

    def _undeploy(self, stream_id: int) -> None:
        self.tenant.ask("DELETE", f"/v1/streams/{stream_id}")
        story.expect(self.cloud, self.tenant, stream_id, "Undeployed")

    def _answered(self) -> int:
        image = next(iter(story.images(0, 1).values()))
        ((status, _),) = predict(self.tenant, self.cloud.replicas.sockets, self.token, [image])
        return status

    def _active(self) -> set[str]:
        found = story.services(self.cloud, self.tenant)
        return {name for name, status in found.items() if status == "ACTIVE"}
