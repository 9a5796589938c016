"""The sweep: finds the files that landed and of which no event arrived.

Every trigger's volume is walked through in pages, again and again, a bounded number of pages per
call. A file that landed after the trigger was made and has no drop gets the event that was lost;
the drop function believes no event, so one that was only late does no harm.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hookline.control.landings import event_of
from hookline.control.listing import every
from hookline.control.volume_files import Source, source
from hookline.core.checks import check_blob_key
from hookline.core.errors import CallerError, Conflict, HooklineError, InvalidInput
from hookline.core.names import is_hidden
from hookline.core.ports import MAX_PAGE, BlobInfo, Blobs, Ports
from hookline.core.records import PLATFORM, Record, Tenant, Volume, number
from hookline.core.topology import DROPS, Handler
from hookline.core.triggers import Drop, Trigger, drop_key

log = logging.getLogger(__name__)

PAGES = 50  # per call and tenant
FILES_PER_PAGE = MAX_PAGE
SETTLE_S = 60  # an event takes seconds; younger files are left to it
DROPS_PER_LOOK = 100

LandedAt = Callable[[Blobs, BlobInfo], float]
IsWhole = Callable[[Blobs, BlobInfo], bool]


class Walk(Record):
    """How far the volume of a trigger was walked through; `after` is empty before the first file.

    Times are UTC epoch seconds.
    """

    kind: ClassVar[str] = "walk"
    trigger_id: int
    after: str = ""
    walked_at: float = 0.0

    @property
    def key(self) -> str:
        return number(self.trigger_id)


def _modified_at(_blobs: Blobs, blob: BlobInfo) -> float:
    return blob.modified_at


def _always(_blobs: Blobs, _blob: BlobInfo) -> bool:
    return True


def build(
    ports: Ports, *, landed_at: LandedAt = _modified_at, is_whole: IsWhole = _always
) -> Handler:
    """The handler of the schedule.

    `landed_at` says when a file landed, in UTC epoch seconds. Where files are not whole or absent,
    as a bucket's are, `is_whole` tells; it is asked about files that have no drop.
    """

    def handle(_event: dict[str, Any], _context: object) -> dict[str, Any]:
        failures = [
            failure
            for tenant in every(ports, Tenant, PLATFORM)
            for failure in _Sweep(ports, tenant.name, landed_at, is_whole).walk()
        ]
        if failures:
            raise failures[0]
        return {}

    return handle


@dataclass(frozen=True, slots=True)
class _Sweep:
    """The share of one tenant in one call."""

    ports: Ports
    tenant: str
    landed_at: LandedAt
    is_whole: IsWhole

    def walk(self) -> list[HooklineError]:
        """Look at a page of each trigger's files in turn, first of those that waited longest.

        What failed for one trigger is returned after the others have had their turn.
        """
        triggers = {one.id: one for one in every(self.ports, Trigger, self.tenant) if one.is_on}
        begun = {walk.trigger_id: walk for walk in every(self.ports, Walk, self.tenant)}
        walks = [begun.get(id_) or Walk(tenant=self.tenant, trigger_id=id_) for id_ in triggers]
        waiting = deque(sorted(walks, key=lambda walk: walk.walked_at))
        failures: list[HooklineError] = []
        for _ in range(PAGES):
            if not waiting:
                break
            walk = waiting.popleft()
            after, goes_on = walk.after, False
            try:
                after = self._page(triggers[walk.trigger_id], walk.after)
                goes_on = bool(after)
            except CallerError as error:  # a linked place that was closed or taken away
                log.warning("sweep_skipped", extra=self._where(walk.trigger_id, why=str(error)))
            except HooklineError as error:
                failures.append(error)
            if (kept := self._kept(walk, after)) and goes_on:
                waiting.append(kept)
        return failures

    def _kept(self, walk: Walk, after: str) -> Walk | None:
        """The walk as it is stored now; None if another call is walking as well."""
        try:
            return self.ports.catalog.put(walk.changed(after=after, walked_at=self.ports.clock()))
        except Conflict:
            return None

    def _page(self, trigger: Trigger, after: str) -> str:
        """Tell of what was missed on the page after this key; the key to go on after, if any."""
        volume = self.ports.catalog.get(Volume, self.tenant, trigger.volume_id)
        if volume is None:
            return ""
        place = source(self.ports, volume)
        page = place.blobs.list(place.prefix, after=after, limit=FILES_PER_PAGE)
        inputs = [blob for blob in page.items if not is_hidden(blob.key.removeprefix(place.prefix))]
        landed = [blob for blob in inputs if self._has_landed(trigger, place.blobs, blob)]
        missed = [
            blob
            for blob in self._unseen(trigger, place, landed)
            if self.is_whole(place.blobs, blob)
        ]
        if missed:
            log.info("sweep_found", extra=self._where(trigger.id, files=len(missed)))
            self.ports.queue.send(DROPS, [event_of(self.ports, volume, blob) for blob in missed])
        return page.after

    def _has_landed(self, trigger: Trigger, blobs: Blobs, blob: BlobInfo) -> bool:
        """Whether it came since the trigger was made, and so long ago that its event is overdue."""
        if blob.key.endswith("/"):  # the folder markers of S3 consoles are no files
            return False
        overdue_since = self.ports.clock() - SETTLE_S
        return trigger.created_at <= self.landed_at(blobs, blob) <= overdue_since

    def _unseen(
        self, trigger: Trigger, place: Source, blobs: Sequence[BlobInfo]
    ) -> Iterator[BlobInfo]:
        """Those that have no drop: both are in the order of drops, and gaps are leapt over."""
        by_key = {_drop_key(trigger, place, blob): blob for blob in blobs}
        keys = sorted(by_key)
        while keys:
            page = self.ports.catalog.query(
                Drop,
                self.tenant,
                prefix=f"{trigger.key}/",
                after=keys[0][:-1],  # nothing but the key itself is that near
                limit=DROPS_PER_LOOK,
            )
            seen = {drop.key for drop in page.items}
            count = max(bisect_right(keys, page.after), 1) if page.after else len(keys)
            yield from (by_key[key] for key in keys[:count] if key not in seen)
            keys = keys[count:]

    def _where(self, trigger_id: int, **more: Any) -> dict[str, Any]:
        return {"tenant": self.tenant, "trigger_id": trigger_id, **more}


def _drop_key(trigger: Trigger, place: Source, blob: BlobInfo) -> str:
    """A name that hookline cannot keep has a drop that tells why, and no version."""
    try:
        check_blob_key(blob.key)
    except InvalidInput:
        return drop_key(trigger.id, blob.key.removeprefix(place.prefix), "")
    return drop_key(trigger.id, blob.key.removeprefix(place.prefix), blob.etag)
