"""Bursts: files that landed under a trigger gather until they become one job.

Whether it is time is decided by records and by messages that come later, never by waiting. Files
join a burst in transactions that hold the trigger and the burst as they were read, and the one that
makes the job moves the trigger on to its next burst: so a file is in one burst, and a burst becomes
one job. All of it may be done twice.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256
from math import ceil
from typing import ClassVar

from hookline.control import outbox
from hookline.control.listing import every
from hookline.control.outbox import Outgoing
from hookline.control.transactions import Write, commit, next_number
from hookline.control.volume_files import source
from hookline.core.errors import CallerError, Conflict, Unavailable
from hookline.core.ports import MAX_DELAY_S, Ports, Put
from hookline.core.records import Job, Record, Value, Volume, number
from hookline.core.topology import DROPS
from hookline.core.triggers import Burst, Drop, Gathering, Trigger, burst_key, drop_key

log = logging.getLogger(__name__)

BURST_DUE = "Burst Due"
MAX_HANDFUL = 90  # each is a write of the transaction, which has 100 and some others
MAX_HANDFUL_BYTES = 200_000  # of names, in a record
LOOKS = 10  # more files may land at each
OVERDUE_S = 60  # a message that is so late is lost
SUPERSEDED = "It was written again before its job began."


class Taken(Value):
    """A version of a file in a burst."""

    name: str
    etag: str
    size_bytes: int


class Handful(Record):
    """Files that joined a burst in one transaction."""

    kind: ClassVar[str] = "handful"
    trigger_id: int
    burst: int
    index: int
    files: tuple[Taken, ...]

    @property
    def key(self) -> str:
        return f"{burst_key(self.trigger_id, self.burst)}/{number(self.index)}"


def due_at(gathering: Gathering, burst: Burst) -> float:
    """When the job of a burst begins, if no other file comes; 0 for one that is full."""
    if burst.files >= gathering.max_files:
        return 0.0
    if gathering.starter:
        return burst.last_at
    return min(burst.last_at + gathering.settle_s, burst.first_at + gathering.max_wait_s)


def add(ports: Ports, tenant: str, trigger_id: int, drops: Sequence[Drop]) -> None:
    """Let versions join the burst that gathers, unless they did or have a reason not to.

    Each time it is full its job begins. Those that wait join as well.
    """
    for handful in _handfuls(drops):
        rest = handful
        while rest := _joined(ports, tenant, trigger_id, rest):
            look(ports, tenant, trigger_id)


def note(ports: Ports, tenant: str, trigger_id: int, drops: Sequence[Drop]) -> None:
    """Let versions wait for the file that begins their job, or store why they do not."""
    for handful in _handfuls(drops):

        def plan(some: Sequence[Drop] = handful) -> tuple[None, list[Write]]:
            trigger = ports.catalog.get(Trigger, tenant, trigger_id)
            fresh = [drop for drop in some if ports.catalog.get(Drop, tenant, drop.key) is None]
            if trigger is None or not trigger.is_on or not fresh:
                return None, []
            return None, [Put(trigger), *map(Put, fresh)]

        commit(ports.catalog, plan)


def _handfuls(drops: Sequence[Drop]) -> Iterator[list[Drop]]:
    handful: list[Drop] = []
    size_bytes = 0
    for drop in drops:
        drop_bytes = len(json.dumps(drop.name))
        if handful and (len(handful) == MAX_HANDFUL or size_bytes + drop_bytes > MAX_HANDFUL_BYTES):
            yield handful
            handful, size_bytes = [], 0
        handful.append(drop)
        size_bytes += drop_bytes
    if handful:
        yield handful


def _joined(ports: Ports, tenant: str, trigger_id: int, drops: Sequence[Drop]) -> list[Drop]:
    """Store what there is room for, and return the rest."""

    def plan() -> tuple[tuple[list[Drop], list[Outgoing]], list[Write]]:
        trigger = ports.catalog.get(Trigger, tenant, trigger_id)
        fresh = list(_fresh(ports, drops))
        if trigger is None or not trigger.is_on or not fresh:
            return ([], []), []
        now = ports.clock()
        burst = current(ports, trigger) or Burst(
            tenant=tenant, trigger_id=trigger_id, number=trigger.burst, first_at=now, last_at=now
        )
        told = [drop for drop in fresh if drop.reason]
        wanted = [drop for drop in fresh if not drop.reason]
        room = max(trigger.gathering.max_files - burst.files, 0)
        # The unchanged trigger makes this fail when it is being turned off.
        writes: list[Write] = [Put(trigger), *map(Put, told)]
        messages: list[Outgoing] = []
        if taken := wanted[:room]:
            burst, messages = _with(trigger.gathering, burst, len(taken), now)
            writes += _join(burst, taken)
        return (wanted[room:], messages), [*writes, *map(Put, messages)]

    rest, messages = commit(ports.catalog, plan)
    _send(ports, messages)
    return rest


def _fresh(ports: Ports, drops: Sequence[Drop]) -> Iterator[Drop]:
    for drop in drops:
        stored = ports.catalog.get(Drop, drop.tenant, drop.key)
        if stored is None:
            yield drop
        elif stored.may_join:
            yield stored.changed(reason="", is_superseded=False)


def _with(
    gathering: Gathering, burst: Burst, files: int, now: float
) -> tuple[Burst, list[Outgoing]]:
    """The burst with some more files, and the message that looks at it again if none will."""
    grown = burst.changed(
        files=burst.files + files,
        handfuls=burst.handfuls + 1,
        last_at=max(burst.last_at, now),
    )
    if grown.look_at or due_at(gathering, grown) <= now:
        return grown, []
    return _looked_at_later(gathering, grown, now)


def _looked_at_later(
    gathering: Gathering, burst: Burst, now: float
) -> tuple[Burst, list[Outgoing]]:
    delay_s = min(max(ceil(due_at(gathering, burst) - now), 1), MAX_DELAY_S)
    later = burst.changed(look_at=now + delay_s)
    return later, [outbox.outgoing(DROPS, _due(later), now, delay_s=delay_s)]


def _due(burst: Burst) -> dict[str, object]:
    return {
        "detail-type": BURST_DUE,
        "tenant": burst.tenant,
        "trigger_id": burst.trigger_id,
        "burst": burst.number,
        "look_at": burst.look_at,
    }


def _join(burst: Burst, drops: Sequence[Drop]) -> Iterator[Write]:
    files = tuple(Taken(name=d.name, etag=d.etag, size_bytes=d.size_bytes) for d in drops)
    yield Put(burst)
    yield Put(
        Handful(
            tenant=burst.tenant,
            trigger_id=burst.trigger_id,
            burst=burst.number,
            index=burst.handfuls,
            files=files,
        )
    )
    yield from (Put(drop.changed(burst=burst.number)) for drop in drops)


def current(ports: Ports, trigger: Trigger) -> Burst | None:
    """The burst that gathers now; None before its first file."""
    return ports.catalog.get(Burst, trigger.tenant, burst_key(trigger.id, trigger.burst))


def look(ports: Ports, tenant: str, trigger_id: int, told: tuple[int, float] | None = None) -> None:
    """Begin the job of the burst that gathers if it is time.

    `told` are the burst and the `look_at` of the message that asks: when it is not time, the next
    message is sent in its stead. Messages that came twice find that another one is awaited.
    """
    for _ in range(LOOKS):
        trigger = ports.catalog.get(Trigger, tenant, trigger_id)
        burst = current(ports, trigger) if trigger and trigger.is_on else None
        if trigger is None or burst is None or (told and told != (burst.number, burst.look_at)):
            return
        if due_at(trigger.gathering, burst) > ports.clock():
            if told and not _looks_later(ports, trigger, burst):
                continue
            return
        if _began(ports, trigger, burst):
            return
    raise Unavailable(f"Files land under the trigger {trigger_id} too quickly.", hint="Try again.")


def _looks_later(ports: Ports, trigger: Trigger, burst: Burst) -> bool:
    later, messages = _looked_at_later(trigger.gathering, burst, ports.clock())
    try:
        ports.catalog.transact([Put(later), *map(Put, messages)])
    except Conflict:
        return False
    _send(ports, messages)
    return True


def _began(ports: Ports, trigger: Trigger, burst: Burst) -> bool:
    """Make the job; False when the burst changed meanwhile, or another one made it."""
    files, stale = _latest(ports, trigger, burst)
    if stale:
        _supersede(ports, burst, stale)
        return False
    only = _listed(ports, trigger, files)

    def plan() -> tuple[list[Outgoing] | None, list[Write]]:
        present = ports.catalog.get(Trigger, trigger.tenant, trigger.id)
        if present is None or not present.is_on or current(ports, present) != burst:
            return None, []
        now = ports.clock()
        number_, counted = next_number(ports.catalog, trigger.tenant, Job)
        job = _job(trigger, number_, only, now)
        messages = outbox.for_new_job(job, now)
        moved = present.changed(burst=present.burst + 1)
        changed: list[Record] = [moved, burst.changed(job_id=number_), job, *messages]
        return messages, [counted, *map(Put, changed)]

    messages = commit(ports.catalog, plan)
    _send(ports, messages or [])
    return messages is not None


def _latest(ports: Ports, trigger: Trigger, burst: Burst) -> tuple[list[Taken], list[Drop]]:
    """The files of a burst, each in one version, by name; and the drops of the others."""
    versions: dict[str, list[Taken]] = defaultdict(list)
    for handful in every(ports, Handful, burst.tenant, f"{burst.key}/"):
        for file in handful.files:
            versions[file.name].append(file)
    latest: list[Taken] = []
    stale: list[Drop] = []
    for _, files in sorted(versions.items()):
        chosen, others = (files[0], []) if len(files) == 1 else _chosen(ports, trigger, files)
        latest.append(chosen)
        stale += others
    return latest, stale


def _chosen(ports: Ports, trigger: Trigger, files: Sequence[Taken]) -> tuple[Taken, list[Drop]]:
    """The version that is there, or else the last that came; and those not yet told of it."""
    keys = {drop_key(trigger.id, file.name, file.etag): file for file in files}
    drops = [ports.catalog.get(Drop, trigger.tenant, key) for key in keys]
    left = {drop.etag: drop for drop in drops if drop and not drop.reason}
    there = _etag_now(ports, trigger, files[0].name) if len(left) > 1 else ""
    kept = left.pop(there) if there in left else left.popitem()[1]
    return keys[kept.key], list(left.values())


def _etag_now(ports: Ports, trigger: Trigger, name: str) -> str:
    volume = ports.catalog.get(Volume, trigger.tenant, trigger.volume_id)
    try:
        blob = source(ports, volume).stat(name) if volume else None
    except CallerError:  # a linked place that was closed or taken away
        return ""
    return blob.etag if blob else ""


def _supersede(ports: Ports, burst: Burst, drops: Sequence[Drop]) -> None:
    """Tell versions that another takes their place, in one order for all who look at the burst."""
    for first in range(0, len(drops), MAX_HANDFUL):
        some = drops[first : first + MAX_HANDFUL]
        held = ports.catalog.get(Burst, burst.tenant, burst.key)
        if held is None or (first == 0 and held != burst) or held.job_id is not None:
            return
        try:
            told = [drop.changed(reason=SUPERSEDED, is_superseded=True) for drop in some]
            ports.catalog.transact([Put(held), *map(Put, told)])
        except Conflict:
            return


def _listed(ports: Ports, trigger: Trigger, files: Sequence[Taken]) -> str:
    """The key of the blob that lists the files; the same files give the same key."""
    lines = [
        json.dumps({"name": file.name, "size": file.size_bytes, "etag": file.etag}) + "\n"
        for file in files
    ]
    data = "".join(lines).encode()
    key = f"{trigger.tenant}/triggers/{trigger.id}/{sha256(data).hexdigest()}.jsonl"
    try:
        ports.blobs.put(key, data, if_absent=True)
    except Conflict:
        log.info("drop_listed_before", extra={"tenant": trigger.tenant, "trigger_id": trigger.id})
    return key


def _job(trigger: Trigger, number_: int, only: str, now: float) -> Job:
    return Job(
        tenant=trigger.tenant,
        id=number_,
        model_id=trigger.model_id,
        volume_id=trigger.volume_id,
        serving=trigger.serving,
        trigger_id=trigger.id,
        only=only,
        notify=trigger.notify,
        created_at=now,
        updated_at=now,
    )


def _send(ports: Ports, messages: Sequence[Outgoing]) -> None:
    for message in messages:
        outbox.send(ports, message)


def sweep(ports: Ports, tenant: str) -> None:
    """Look again at bursts whose message was lost: it lies among the dead."""
    for trigger in every(ports, Trigger, tenant):
        burst = current(ports, trigger) if trigger.is_on else None
        if (
            burst
            and ports.clock() > max(due_at(trigger.gathering, burst), burst.look_at) + OVERDUE_S
        ):
            ports.queue.send(DROPS, [json.dumps(_due(burst)).encode()])
