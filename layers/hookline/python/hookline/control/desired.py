"""Decides what makes the fleet what is asked for, without touching anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from hookline.core.ports import Group, Process
from hookline.core.records import PLATFORM, Failure, Record, Replica, Stream

WORKERS = "worker"  # the group of batch workers, under PLATFORM
IDLE_S = 30  # workers stay warm for the next job
GRACE_S = 5.0  # longer than any gateway believes in a route


@dataclass(frozen=True, slots=True)
class Ensure:
    """Have the group run."""

    group: Group


@dataclass(frozen=True, slots=True)
class Remove:
    """Have the group gone."""

    tenant: str
    group: str


@dataclass(frozen=True, slots=True)
class Store:
    """Write the record if it is still as it was read."""

    record: Record


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete the record."""

    record: Record


@dataclass(frozen=True, slots=True)
class Revoke:
    """Make the tokens of a stream worthless."""

    tenant: str
    stream_id: int


Action = Ensure | Remove | Store | Forget | Revoke


class Idle(Record):
    """Since when the workers have had nothing to do."""

    kind: ClassVar[str] = "idle"
    tenant: str = PLATFORM
    since: float

    @property
    def key(self) -> str:
        return WORKERS


def plan_stream(
    stream: Stream, processes: Sequence[Process], replicas: Sequence[Replica], now: float
) -> list[Action]:
    """What a stream needs now. `processes` are those of its groups, `replicas` what is published.

    After the actions took effect there is nothing more to do until something else happens.
    """
    if stream.status not in ("Deploying", "Running", "Updating"):
        return [*map(Forget, replicas), *_leave(stream, processes, now)]
    own = _of(stream.group, processes)
    if stream.status == "Updating" and stream.former:
        return plan_update(stream, own, _of(stream.former_group, processes), replicas, now)
    ready, dead = _ready(own), _dead(own)
    if stream.status == "Deploying" and dead and not ready:
        failed = _marked(stream, now, status="Failed", failure=_failure(dead))
        return [*map(Forget, replicas), failed, Remove(stream.tenant, stream.group)]
    actions = [*_routes(stream, ready, replicas)]
    if stream.status == "Deploying" and ready:
        actions.append(_marked(stream, now, status="Running", failure=None))
    if _running(own) != stream.replicas:
        actions.append(Ensure(_group(stream)))
    return [*actions, *_retire(stream, processes, now)]


def plan_update(
    stream: Stream,
    new: Sequence[Process],
    old: Sequence[Process],
    replicas: Sequence[Replica],
    now: float,
) -> list[Action]:
    """Start the new processes beside the old ones, which answer until all of the new are ready.

    If one of the new ends before, the stream stays with the old ones.
    """
    ready, dead, count = _ready(new), _dead(new), max(1, stream.replicas)
    if dead:
        return [back(stream, _failure(dead), now), Remove(stream.tenant, stream.group)]
    if stream.former and len(ready) >= count:
        left = stream.former.model_copy(update={"left_at": now})
        switch = _marked(stream, now, status="Running", failure=None, former=left)
        # Its time to leave begins when nobody is led to the old ones any more.
        return [*_routes(stream, ready, replicas), switch]
    actions = [*_routes(stream, _ready(old), replicas)]
    if _running(old) != stream.replicas:
        actions.append(Ensure(_group(_former(stream))))
    if _running(new) != count:
        actions.append(Ensure(replace(_group(stream), count=count)))
    return actions


def back(stream: Stream, failure: Failure, now: float) -> Store:
    """Take back an update that has failed."""
    return _marked(_former(stream), now, status="Running", failure=failure)


def plan_workers(
    count: int, processes: Sequence[Process], idle: Idle | None, now: float, *, has_work: bool
) -> list[Action]:
    """Run `count` workers while there is work, and a little longer."""
    if has_work:
        group = Group(tenant=PLATFORM, name=WORKERS, role="worker", count=count)
        started = [] if _running(processes) == count else [Ensure(group)]
        return [*([Forget(idle)] if idle else []), *started]
    if not processes:
        return [Forget(idle)] if idle else []
    if idle is None:
        return [Store(Idle(since=now))]
    return [Remove(PLATFORM, WORKERS)] if idle.since <= now - IDLE_S else []


def _leave(stream: Stream, processes: Sequence[Process], now: float) -> Iterator[Action]:
    is_leaving = stream.status == "Undeploying"
    # A group may be known to the fleet before it has processes, so nothing seen is no proof.
    if processes or is_leaving:
        for group in stream.groups:
            yield Remove(stream.tenant, group)
    if is_leaving and all(process.state == "exited" for process in processes):
        yield Revoke(stream.tenant, stream.id)
        yield _marked(stream, now, status="Undeployed", former=None)


def _retire(stream: Stream, processes: Sequence[Process], now: float) -> Iterator[Action]:
    """End what answered before an update, once no gateway sends it anything."""
    former = stream.former
    if former is None or former.left_at is None or former.left_at > now - GRACE_S:
        return
    yield Remove(stream.tenant, stream.former_group)
    if all(process.state == "exited" for process in _of(stream.former_group, processes)):
        yield Store(stream.changed(former=None))


def _of(group: str, processes: Sequence[Process]) -> list[Process]:
    return [process for process in processes if process.group == group]


def _ready(processes: Sequence[Process]) -> dict[str, Process]:
    return {process.process_id: process for process in processes if process.state == "ready"}


def _dead(processes: Sequence[Process]) -> list[Process]:
    return [process for process in processes if process.state == "exited"]


def _former(stream: Stream) -> Stream:
    """The stream as it was before its update."""
    former = stream.former
    if former is None:
        return stream
    return stream.changed(
        model_id=former.model_id, serving=former.serving, revision=former.revision, former=None
    )


def _routes(
    stream: Stream, ready: dict[str, Process], replicas: Sequence[Replica]
) -> Iterator[Action]:
    """Publish the ready processes, then take back those that are not."""
    yield from _published(stream, ready, replicas)
    yield from (Forget(replica) for replica in replicas if replica.process_id not in ready)


def _published(
    stream: Stream, ready: dict[str, Process], replicas: Sequence[Replica]
) -> Iterator[Action]:
    """Publish the ready processes that are not."""
    published = {replica.process_id: replica for replica in replicas}
    for process_id, process in ready.items():
        known = published.get(process_id)
        if known is None or known.address != process.address:
            fresh = Replica(
                tenant=stream.tenant,
                stream_id=stream.id,
                process_id=process_id,
                address=process.address,
                started_at=process.started_at,
            )
            yield Store(fresh.changed(version=known.version if known else 0))


def _marked(stream: Stream, now: float, **fields: object) -> Store:
    return Store(stream.changed(updated_at=max(now, stream.updated_at), **fields))


def _running(processes: Sequence[Process]) -> int:
    return sum(process.state in ("starting", "ready") for process in processes)


def _group(stream: Stream) -> Group:
    return Group(
        tenant=stream.tenant,
        name=stream.group,
        role="stream",
        count=stream.replicas,
        device=stream.serving.device,
        gpus=stream.serving.gpus,
    )


def _failure(dead: Sequence[Process]) -> Failure:
    told = next((process.failure for process in dead if process.failure), None)
    if told is None:
        return Failure(
            code="hook_crashed",
            message="The process ended before it was ready, without saying why. Look at its log.",
        )
    return Failure(code=told.code, message=told.message, trace=told.trace)
