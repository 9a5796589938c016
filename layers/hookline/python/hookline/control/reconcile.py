"""The reconciler: makes the fleet what the catalog and the queues ask for.

A message names one stream that changed, or nothing, which means everything, as the schedule does.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hookline.control import bursts, credentials, outbox, overdue, silence
from hookline.control.desired import (
    WORKERS,
    Action,
    Ensure,
    Forget,
    Idle,
    Remove,
    Revoke,
    Store,
    back,
    plan_stream,
    plan_workers,
)
from hookline.control.listing import every
from hookline.control.scaling import plan_scale
from hookline.core.errors import Conflict, HooklineError, InvalidInput, Unavailable
from hookline.core.groups import stream_of
from hookline.core.loads import Demand, Load
from hookline.core.ports import Group, Ports, Process
from hookline.core.records import PLATFORM, Failure, Replica, Stream, Tenant, number
from hookline.core.topology import PLAN, RECONCILE, SHARDS, Handler

log = logging.getLogger(__name__)

ROUNDS = 4  # an action may make the next one possible at once
LOOK_AGAIN_S = 1

Target = tuple[str, int] | None
"""Tenant and id of a stream; None means everything."""

S = TypeVar("S", Replica, Load, Demand)

Fleet = dict[tuple[str, str], list[Process]]
"""The processes of each tenant and group."""


def build(ports: Ports, workers: int = 2) -> Handler:
    """The handler of reconcile messages and of the schedule.

    `workers`: batch workers to run; 0 where something else runs them.
    """

    def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
        if "Records" not in event:
            everything(ports, workers)
            return {"batchItemFailures": []}
        targets, failed = _targets(event["Records"])
        for target, message_ids in targets.items():
            if not _survived(ports, target, workers):
                failed += message_ids
        return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}

    return handle


def _targets(records: Sequence[dict[str, Any]]) -> tuple[dict[Target, list[str]], list[str]]:
    """What the messages ask for, each once, with who asked; and the malformed messages."""
    targets: dict[Target, list[str]] = {}
    malformed: list[str] = []
    for record in records:
        try:
            body = json.loads(record["body"])
            target = (str(body["tenant"]), int(body["stream_id"])) if body else None
        except (ValueError, KeyError, TypeError):
            log.exception("message_malformed", extra={"message_id": record["messageId"]})
            malformed.append(record["messageId"])
            continue
        targets.setdefault(target, []).append(record["messageId"])
    return targets, malformed


def _survived(ports: Ports, target: Target, workers: int) -> bool:
    try:
        if target is None:
            everything(ports, workers)
        elif one_stream(ports, *target):
            body = {"tenant": target[0], "stream_id": target[1]}
            ports.queue.send(RECONCILE, [json.dumps(body).encode()], delay_s=LOOK_AGAIN_S)
    except Exception:  # the edge around a message
        log.exception("reconcile_failed", extra={"target": str(target)})
        return False
    return True


def everything(ports: Ports, workers: int) -> None:
    """Every stream, the workers, groups that nothing asks for, and messages left behind.

    The fleet is asked once, after the catalog: a process that is published there and not seen then
    has ended. What fails for one stream is raised after the others have had their turn.
    """
    outbox.sweep(ports)
    known = [known for tenant in every(ports, Tenant, PLATFORM) for known in _known(ports, tenant)]
    fleet = _by_group(ports.fleet.observe())
    if workers:
        the_workers(ports, workers, fleet.get((PLATFORM, WORKERS), []))
    failures: list[HooklineError] = []
    for one in known:
        try:
            _settle(ports, one, fleet)
        except HooklineError as error:
            failures.append(error)
    _remove_strays(ports, fleet)
    if failures:
        raise failures[0]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the catalog has about a stream."""

    stream: Stream
    replicas: Sequence[Replica]
    demand: Demand | None
    loads: Sequence[Load]

    def plan(self, processes: Sequence[Process], now: float) -> list[Action]:
        """What it needs now. `processes` are those of its group."""
        stream, scaling = plan_scale(self.stream, self.demand, self.loads, now)
        return [*scaling, *plan_stream(stream, processes, self.replicas, now)]


def _known(ports: Ports, tenant: Tenant) -> Iterator[_Known]:
    """Every stream of a tenant that may need something."""
    overdue.sweep(ports, tenant.name)
    bursts.sweep(ports, tenant.name)
    silence.sweep(ports, tenant.name)
    streams = [s for s in every(ports, Stream, tenant.name) if s.status != "Undeployed"]
    replicas = _by_stream(every(ports, Replica, tenant.name))
    loads = _by_stream(every(ports, Load, tenant.name))
    demands = _by_stream(every(ports, Demand, tenant.name))
    for one in streams:
        demand = next(iter(demands.get(one.id, ())), None)
        yield _Known(one, replicas.get(one.id, ()), demand, loads.get(one.id, ()))


def _by_stream(records: Iterable[S]) -> dict[int, list[S]]:
    found: dict[int, list[S]] = {}
    for record in records:
        found.setdefault(record.stream_id, []).append(record)
    return found


def _by_group(processes: Iterable[Process]) -> Fleet:
    found: Fleet = {}
    for process in processes:
        found.setdefault((process.tenant, process.group), []).append(process)
    return found


def _settle(ports: Ports, known: _Known, fleet: Fleet) -> None:
    """Do what a stream needs by what was seen; look at it anew if that may not have been all."""
    stream = known.stream
    processes = [one for name in stream.groups for one in fleet.get((stream.tenant, name), [])]
    actions = known.plan(processes, ports.clock())
    _apply(ports, actions)
    if any(isinstance(action, Ensure | Remove) or _is_of_stream(action) for action in actions):
        one_stream(ports, stream.tenant, stream.id)


def _is_of_stream(action: Action) -> bool:
    return isinstance(action, Store) and isinstance(action.record, Stream)


def one_stream(ports: Ports, tenant: str, stream_id: int) -> bool:
    """Do what one stream needs, and return whether it is to be looked at again soon."""
    is_on_its_way = False
    for _ in range(ROUNDS):
        known = _about(ports, tenant, stream_id)
        if known is None:
            return False
        stream = known.stream
        is_leaving_old = stream.former is not None and stream.status != "Undeployed"
        is_on_its_way = is_leaving_old or stream.status in ("Deploying", "Undeploying")
        seen = [one for name in stream.groups for one in ports.fleet.observe(tenant, name)]
        actions = known.plan(seen, ports.clock())
        if not actions:
            break
        if not _apply(ports, actions):
            return True
    return is_on_its_way


def _about(ports: Ports, tenant: str, stream_id: int) -> _Known | None:
    stream = ports.catalog.get(Stream, tenant, stream_id)
    if stream is None:
        return None
    prefix = f"{number(stream_id)}/"
    replicas = list(every(ports, Replica, tenant, prefix))
    loads = list(every(ports, Load, tenant, prefix))
    return _Known(stream, replicas, ports.catalog.get(Demand, tenant, stream_id), loads)


def the_workers(ports: Ports, count: int, processes: Sequence[Process]) -> None:
    """Start batch workers when there is work, and stop them when there was none for a while."""
    depth = ports.queue.depth(PLAN) + ports.queue.depth(SHARDS)
    idle = ports.catalog.get(Idle, PLATFORM, WORKERS)
    _apply(ports, plan_workers(count, processes, idle, ports.clock(), has_work=depth > 0))


def _remove_strays(ports: Ports, fleet: Fleet) -> None:
    """Groups of streams that were undeployed while something else was starting them."""
    for tenant, group in fleet:
        if group != WORKERS and not _is_wanted(ports, tenant, group):
            ports.fleet.remove(tenant, group)


def _is_wanted(ports: Ports, tenant: str, group: str) -> bool:
    stream_id = stream_of(group)
    stream = ports.catalog.get(Stream, tenant, stream_id) if stream_id else None
    return stream is not None and stream.status != "Undeployed" and group in stream.groups


def _apply(ports: Ports, actions: Sequence[Action]) -> bool:
    """Perform actions in order, up to the first that is based on something outdated.

    Whether the fleet did its part; it cannot while a removed group of the same name still drains.
    """
    for action in actions:
        try:
            _perform(ports, action)
        except Conflict:
            log.info("reconcile_outdated", extra={"action": type(action).__name__})
            return True
        except Unavailable as error:
            if not isinstance(action, Ensure):
                raise
            log.info("fleet_busy", extra={"group": action.group.name, "why": str(error)})
            return False
        except InvalidInput as error:
            if not isinstance(action, Ensure):
                raise
            _give_up(ports, action.group, error)
            return True
    return True


def _give_up(ports: Ports, group: Group, error: InvalidInput) -> None:
    """End a stream that the fleet can never run; raise for one that it has run."""
    stream = ports.catalog.get(Stream, group.tenant, stream_of(group.name))
    failure = Failure(code=error.code, message=str(error))
    if stream and stream.status == "Updating" and group.name == stream.group:
        _apply(ports, [back(stream, failure, ports.clock())])
    elif stream and stream.status == "Deploying":
        _apply(ports, [Store(stream.changed(status="Failed", failure=failure))])
    else:
        raise error


def _perform(ports: Ports, action: Action) -> None:
    match action:
        case Ensure(group):
            ports.fleet.ensure(group)
        case Remove(tenant, name):
            ports.fleet.remove(tenant, name)
        case Store(record):
            ports.catalog.put(record)
        case Forget(record):
            ports.catalog.delete(record)
        case Revoke(tenant, stream_id):
            subject = credentials.stream_subject(stream_id)
            credentials.revoke(ports, credentials.links(ports, tenant, subject))
