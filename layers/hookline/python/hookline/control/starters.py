"""Files that begin a job: a marker (`_SUCCESS`) for those beside and below it, or a list of names.

They may be many, so they join the burst page by page, each page in a message of its own; the job
begins after the last one. Each version of a starter begins one job: a marker is often empty, and so
always has the same content, which is why its time counts as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hookline.control import bursts
from hookline.control.sightings import seen, sighted, unseen
from hookline.control.transactions import Write, commit
from hookline.control.volume_files import Source, source
from hookline.core.errors import InvalidInput
from hookline.core.ports import Ports, Put
from hookline.core.records import Volume
from hookline.core.topology import DROPS
from hookline.core.triggers import Drop, Trigger

GO_ON = "Starter Goes On"
PAGE_FILES = 500  # each may cost a request of its own to look at
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
NOTHING_LEFT = "Every file that it speaks of was predicted before, is told of here, or is absent."


def begin(ports: Ports, trigger: Trigger, place: Source, name: str) -> None:
    """Let the files that a starter speaks of become a job, unless this version of it did."""
    for starter in sighted(ports, trigger, place, [name]):
        _take(ports, trigger, place, starter, "")


def go_on(ports: Ports, told: dict[str, Any]) -> None:
    """Take the next page, as the message of the one before asks for."""
    tenant, name = str(told["tenant"]), str(told["name"])
    trigger = ports.catalog.get(Trigger, tenant, int(told["trigger_id"]))
    volume = ports.catalog.get(Volume, tenant, trigger.volume_id) if trigger else None
    if trigger is None or volume is None:
        return
    place = source(ports, volume)
    for starter in sighted(ports, trigger, place, [name]):
        # Another version begins anew with an event of its own.
        if [starter.etag, starter.modified_at] == told["version"]:
            _take(ports, trigger, place, starter, str(told["after"]))


def _take(ports: Ports, trigger: Trigger, place: Source, starter: Drop, after: str) -> None:
    """Take a page; after the last one, also when it comes again, the job begins."""
    if _is_known(ports, starter) or _was_last(ports, trigger, place, starter, after):
        bursts.look(ports, trigger.tenant, trigger.id)


def _is_known(ports: Ports, drop: Drop) -> bool:
    stored = ports.catalog.get(Drop, drop.tenant, drop.key)
    return stored is not None and (stored.modified_at == drop.modified_at or not drop.etag)


def _was_last(ports: Ports, trigger: Trigger, place: Source, starter: Drop, after: str) -> bool:
    """Let a page of files join; False when another one is to follow."""
    if starter.reason:
        _end(ports, starter)
        return True
    try:
        drops, rest = _spoken_of(ports, trigger, place, starter, after)
    except InvalidInput as error:
        _end(ports, starter.changed(reason=str(error)))
        return True
    bursts.add(ports, trigger.tenant, trigger.id, drops)
    if not rest:
        _end(ports, starter)
        return True
    body = {
        "detail-type": GO_ON,
        "tenant": trigger.tenant,
        "trigger_id": trigger.id,
        "name": starter.name,
        "version": [starter.etag, starter.modified_at],
        "after": rest,
    }
    ports.queue.send(DROPS, [json.dumps(body).encode()])
    return False


def _spoken_of(
    ports: Ports, trigger: Trigger, place: Source, starter: Drop, after: str
) -> tuple[list[Drop], str]:
    """A page of what a starter speaks of, and where the next one begins."""
    if trigger.gathering.marker:
        return _below(ports, trigger, place, starter.name.rpartition("/")[0], after)
    first = int(after or "0")
    names = _names(place, starter)
    some = names[first : first + PAGE_FILES]
    last = first + len(some)
    return list(_listed(ports, trigger, place, some)), str(last) if last < len(names) else ""


def _below(
    ports: Ports, trigger: Trigger, place: Source, folder: str, after: str
) -> tuple[list[Drop], str]:
    prefix = f"{place.prefix}{folder}/" if folder else place.prefix
    page = place.blobs.list(prefix, after=after, limit=PAGE_FILES)
    names = [(blob.key.removeprefix(place.prefix), blob) for blob in page.items]
    drops = [
        seen(ports, trigger, name, blob)
        for name, blob in names
        if not name.endswith("/") and not trigger.gathering.is_started_by(name)
    ]
    return drops, page.after


def _names(place: Source, manifest: Drop) -> list[str]:
    """The names in a manifest, one a line, each once."""
    if manifest.size_bytes > MAX_MANIFEST_BYTES:
        raise InvalidInput(
            f"The manifest has {manifest.size_bytes} bytes.",
            why=f"A manifest has at most {MAX_MANIFEST_BYTES}.",
            hint="Split it; each part becomes a job.",
        )
    with place.blobs.open(place.prefix + manifest.name) as file:
        data = file.read(MAX_MANIFEST_BYTES)
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            "The manifest is not UTF-8.", why=f"{error.reason} at byte {error.start}."
        ) from None
    return list(dict.fromkeys(filter(None, (line.removesuffix("\r") for line in lines))))


def _listed(ports: Ports, trigger: Trigger, place: Source, names: list[str]) -> Iterator[Drop]:
    for name in names:
        if trigger.gathering.is_started_by(name):
            continue
        found = list(sighted(ports, trigger, place, [name]))
        yield from found or [unseen(ports, trigger, name, "A manifest lists it, and it is absent.")]


def _end(ports: Ports, starter: Drop) -> None:
    """Remember this version of the starter, and of which burst it was."""

    def plan() -> tuple[None, list[Write]]:
        trigger = ports.catalog.get(Trigger, starter.tenant, starter.trigger_id)
        if trigger is None or not trigger.is_on or _is_known(ports, starter):
            return None, []
        burst = bursts.current(ports, trigger)
        reason = starter.reason or ("" if burst else NOTHING_LEFT)
        stored = ports.catalog.get(Drop, starter.tenant, starter.key)
        drop = starter.changed(
            version=stored.version if stored else 0,
            burst=trigger.burst if burst and not reason else None,
            reason=reason,
        )
        return None, [Put(trigger), Put(drop)]

    commit(ports.catalog, plan)
