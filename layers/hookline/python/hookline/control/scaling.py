"""Decides how many replicas a stream is to have from the requests in flight that gateways report.

Up at once, down to the most that was needed within the last DOWN_S seconds. So a stream that went
up stays up that long, and one that may have none ends its last replica after as long without a
request.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from hookline.control.desired import Action, Forget, Store
from hookline.core.loads import LOAD_RENEW_S, Demand, Load, Needed
from hookline.core.records import Record, Stream

DOWN_S = 300.0
LOAD_S = 3 * LOAD_RENEW_S  # how long a gateway's word is believed
REFRESH_S = 20.0  # how exact the times in a demand have to be


def plan_scale(
    stream: Stream, demand: Demand | None, loads: Sequence[Load], now: float
) -> tuple[Stream, list[Action]]:
    """The stream with as many replicas as it is to have, and what to write for that."""
    is_live = stream.status in ("Running", "Updating")
    if not (is_live and stream.is_elastic):
        left: list[Record] = [*loads, *([demand] if demand else [])]
        count = within(stream, stream.replicas) if is_live else stream.replicas
        scaled = stream if count == stream.replicas else stream.changed(replicas=count)
        changes = [Store(scaled)] if scaled is not stream else []
        return scaled, [*changes, *map(Forget, left)]
    scaled, needed = rescaled(stream, demand, loads, now)
    stored: list[Record] = [one for one in (needed, scaled) if one not in (demand, stream)]
    expired = [load for load in loads if has_expired(load, now)]
    return scaled, [*map(Store, stored), *map(Forget, expired)]


def rescaled(
    stream: Stream, demand: Demand | None, loads: Sequence[Load], now: float
) -> tuple[Stream, Demand]:
    """The stream with as many replicas as it is to have, and its demand, as they are to be stored.

    Either is unchanged where nothing has to be written.
    """
    if demand is None:  # it has just come up, or its limits were fixed so far
        demand = Demand(tenant=stream.tenant, stream_id=stream.id)
        seen = [Needed(at=now, replicas=stream.replicas)]
    else:
        seen = []
    recent = remembered([*demand.recent, *seen, *needs(stream, loads, now)], now)
    if not _is_alike(demand.recent, recent) or not demand.version:
        demand = demand.changed(recent=recent)
    count = within(stream, recent[0].replicas if recent else 0)
    return (stream if count == stream.replicas else stream.changed(replicas=count)), demand


def needs(stream: Stream, loads: Iterable[Load], now: float) -> list[Needed]:
    """What the load takes now, all gateways together, and what loads took that have expired."""
    fresh = [load for load in loads if not has_expired(load, now)]
    expired = [load for load in loads if has_expired(load, now)]
    total = sum(load.in_flight + load.waiting for load in fresh)
    found = [Needed(at=now, replicas=_for(stream, total))]
    for load in expired:
        replicas = _for(stream, load.in_flight + load.waiting)
        found.append(Needed(at=load.updated_at, replicas=replicas))
    return [needed for needed in found if needed.replicas > 0]


def has_expired(load: Load, now: float) -> bool:
    """Whether its gateway has stopped renewing it."""
    return load.updated_at <= now - LOAD_S


def remembered(needed: Iterable[Needed], now: float) -> tuple[Needed, ...]:
    """Those within DOWN_S that no later one exceeds, oldest first: the first is the greatest."""
    kept: list[Needed] = []
    for one in sorted(needed, key=lambda one: one.at):
        if one.at <= now - DOWN_S:
            continue
        while kept and kept[-1].replicas <= one.replicas:
            kept.pop()
        kept.append(one)
    return tuple(kept)


def within(stream: Stream, count: int) -> int:
    """The count that is nearest within the stream's limits."""
    return max(stream.min_replicas, min(count, stream.max_replicas))


def _for(stream: Stream, in_flight: float) -> int:
    return min(math.ceil(in_flight / stream.target_in_flight), stream.max_replicas)


def _is_alike(one: Sequence[Needed], other: Sequence[Needed]) -> bool:
    """The same counts at about the same times."""
    return len(one) == len(other) and all(
        a.replicas == b.replicas and abs(a.at - b.at) < REFRESH_S
        for a, b in zip(one, other, strict=True)
    )
