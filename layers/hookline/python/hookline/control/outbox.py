"""Messages that belong to a commit: sent after it, by whoever gets to it first, never forgotten.

The message is stored in the transaction it belongs to, sent, then removed. When its sender dies in
between, the reconciler sends it. Receivers survive duplicates, as with every queue.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar
from uuid import uuid4

from hookline.control.listing import every
from hookline.core.ports import Ports
from hookline.core.records import PLATFORM, Job, Record
from hookline.core.topology import PLAN, RECONCILE

OVERDUE_S = 30


class Outgoing(Record):
    """A message that is to be sent."""

    kind: ClassVar[str] = "outgoing"
    tenant: str = PLATFORM
    id: str
    queue: str
    body: str
    created_at: float

    @property
    def key(self) -> str:
        return self.id


def outgoing(queue: str, body: Mapping[str, object], now: float) -> Outgoing:
    """A message to put into a transaction, then to `send`."""
    return Outgoing(id=uuid4().hex, queue=queue, body=json.dumps(body), created_at=now)


def for_new_job(job: Job, now: float) -> list[Outgoing]:
    """What a new job waits for: that its manifest is frozen, and meanwhile that workers start."""
    about = {"tenant": job.tenant, "job_id": job.id}
    return [outgoing(PLAN, about, now), outgoing(RECONCILE, {}, now)]


def send(ports: Ports, message: Outgoing) -> None:
    """Send it and forget it, unless someone else has done so."""
    stored = ports.catalog.get(Outgoing, PLATFORM, message.id)
    if stored is not None:
        ports.queue.send(stored.queue, [stored.body.encode()])
        ports.catalog.delete(stored)


def sweep(ports: Ports) -> None:
    """Send what was left behind."""
    for message in every(ports, Outgoing, PLATFORM):
        if message.created_at <= ports.clock() - OVERDUE_S:
            send(ports, message)
