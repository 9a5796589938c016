"""The reconciler: makes the fleet what the catalog and the queues ask for.

A message names one stream that changed, or nothing, which means everything, as the schedule does.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from hookline.control import credentials, outbox
from hookline.control.app import Handler
from hookline.control.caller import every
from hookline.control.desired import (
    WORKERS,
    Action,
    Ensure,
    Forget,
    Idle,
    Remove,
    Revoke,
    Store,
    plan_stream,
    plan_workers,
)
from hookline.core.errors import Conflict
from hookline.core.ports import Ports
from hookline.core.records import PLATFORM, Replica, Stream, Tenant, number
from hookline.core.topology import PLAN, RECONCILE, SHARDS

log = logging.getLogger(__name__)

ROUNDS = 3  # an action may make the next one possible at once
LOOK_AGAIN_S = 1

Target = tuple[str, int] | None
"""Tenant and id of a stream; None means everything."""


def build(ports: Ports, workers: int = 2) -> Handler:
    """The handler of reconcile messages and of the schedule. `workers`: batch workers to run."""

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
        elif one_stream(ports, *target) in ("Deploying", "Undeploying"):
            body = {"tenant": target[0], "stream_id": target[1]}
            ports.queue.send(RECONCILE, [json.dumps(body).encode()], delay_s=LOOK_AGAIN_S)
    except Exception:  # the edge around a message
        log.exception("reconcile_failed", extra={"target": str(target)})
        return False
    return True


def everything(ports: Ports, workers: int) -> None:
    """Every stream, the workers, groups that nothing asks for, and messages left behind."""
    outbox.sweep(ports)
    the_workers(ports, workers)
    for tenant in every(ports, Tenant, PLATFORM):
        for stream in every(ports, Stream, tenant.name):
            if stream.status != "Undeployed":
                one_stream(ports, tenant.name, stream.id)
    _remove_strays(ports)


def one_stream(ports: Ports, tenant: str, stream_id: int) -> str:
    """Do what one stream needs, and return its status then."""
    status = ""
    for _ in range(ROUNDS):
        stream = ports.catalog.get(Stream, tenant, stream_id)
        if stream is None:
            return ""
        status = stream.status
        processes = ports.fleet.observe(tenant, stream.group)
        replicas = list(every(ports, Replica, tenant, f"{number(stream_id)}/"))
        actions = plan_stream(stream, processes, replicas, ports.clock())
        if not actions:
            break
        _apply(ports, actions)
    return status


def the_workers(ports: Ports, count: int) -> None:
    """Start batch workers when there is work, and stop them when there was none for a while."""
    depth = ports.queue.depth(PLAN) + ports.queue.depth(SHARDS)
    processes = ports.fleet.observe(PLATFORM, WORKERS)
    idle = ports.catalog.get(Idle, PLATFORM, WORKERS)
    _apply(ports, plan_workers(count, processes, idle, ports.clock(), has_work=depth > 0))


def _remove_strays(ports: Ports) -> None:
    """Groups of streams that were undeployed while something else was starting them."""
    for tenant, group in {(process.tenant, process.group) for process in ports.fleet.observe()}:
        if group != WORKERS and not _is_wanted(ports, tenant, group):
            ports.fleet.remove(tenant, group)


def _is_wanted(ports: Ports, tenant: str, group: str) -> bool:
    stream_id = group.rpartition("-")[2]
    stream = ports.catalog.get(Stream, tenant, int(stream_id)) if stream_id.isdecimal() else None
    return stream is not None and stream.status != "Undeployed"


def _apply(ports: Ports, actions: Sequence[Action]) -> None:
    """Perform actions in order, up to the first that is based on something outdated."""
    for action in actions:
        try:
            _perform(ports, action)
        except Conflict:
            log.info("reconcile_outdated", extra={"action": type(action).__name__})
            return


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
