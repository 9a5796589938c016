"""Decides what makes the fleet what is asked for, without touching anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hookline.core.ports import Group, Process
from hookline.core.records import PLATFORM, Failure, Record, Replica, Stream

WORKERS = "worker"  # the group of batch workers, under PLATFORM
IDLE_S = 30  # workers stay warm for the next job


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
    """What a stream needs now. `processes` are those of its group, `replicas` what is published.

    After the actions took effect there is nothing more to do until something else happens.
    """
    if stream.status not in ("Deploying", "Running", "Updating"):
        return [*map(Forget, replicas), *_leave(stream, processes, now)]
    ready = {process.process_id: process for process in processes if process.state == "ready"}
    dead = [process for process in processes if process.state == "exited"]
    if stream.status == "Deploying" and dead and not ready:
        failed = _marked(stream, now, status="Failed", failure=_failure(dead))
        return [*map(Forget, replicas), failed, Remove(stream.tenant, stream.group)]
    actions = [*_routes(stream, ready, replicas)]
    if stream.status == "Deploying" and ready:
        actions.append(_marked(stream, now, status="Running", failure=None))
    if _running(processes) != stream.replicas:
        actions.append(Ensure(_group(stream)))
    return actions


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
        yield Remove(stream.tenant, stream.group)
    if is_leaving and all(process.state == "exited" for process in processes):
        yield Revoke(stream.tenant, stream.id)
        yield _marked(stream, now, status="Undeployed")


def _routes(
    stream: Stream, ready: dict[str, Process], replicas: Sequence[Replica]
) -> Iterator[Action]:
    """Publish the ready processes, and take back those that are not."""
    published = {replica.process_id: replica for replica in replicas}
    for process_id, replica in published.items():
        if process_id not in ready:
            yield Forget(replica)
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
