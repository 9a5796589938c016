"""Messages that belong to a commit: sent after it, by whoever gets to it first, never forgotten.

The message is stored in the transaction it belongs to, sent, then removed. When its sender dies in
between, the reconciler sends it. Receivers survive duplicates, as with every queue.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil
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
    delay_s: int = 0
    created_at: float

    @property
    def key(self) -> str:
        return self.id


def outgoing(queue: str, body: Mapping[str, object], now: float, *, delay_s: int = 0) -> Outgoing:
    """A message to put into a transaction, then to `send`; it arrives `delay_s` from now."""
    return Outgoing(
        id=uuid4().hex, queue=queue, body=json.dumps(body), delay_s=delay_s, created_at=now
    )


def for_new_job(job: Job, now: float) -> list[Outgoing]:
    """What a new job waits for: that its manifest is frozen, and meanwhile that workers start."""
    about = {"tenant": job.tenant, "job_id": job.id}
    return [outgoing(PLAN, about, now), outgoing(RECONCILE, {}, now)]


def send(ports: Ports, message: Outgoing) -> None:
    """Send it and forget it, unless someone else has done so."""
    stored = ports.catalog.get(Outgoing, PLATFORM, message.id)
    if stored is not None:
        rest_s = ceil(stored.created_at + stored.delay_s - ports.clock())
        delay_s = min(stored.delay_s, max(rest_s, 0))
        ports.queue.send(stored.queue, [stored.body.encode()], delay_s=delay_s)
        ports.catalog.delete(stored)


def sweep(ports: Ports) -> None:
    """Send what was left behind."""
    for message in every(ports, Outgoing, PLATFORM):
        if message.created_at <= ports.clock() - OVERDUE_S:
            send(ports, message)
