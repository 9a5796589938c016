"""The drop function: files that landed under a trigger become jobs, each version of a file once.

Events may be doubled, early, late or out of order, so none is believed: the file is looked at, and
the version that is there now is what gets predicted. A Drop record per trigger and version, stored
in the transaction that lets it join a burst, keeps it from being predicted twice.
"""

from __future__ import annotations

import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from hookline.control import bursts, starters
from hookline.control.landings import created
from hookline.control.listing import every
from hookline.control.sightings import sighted
from hookline.control.volume_files import source
from hookline.core.errors import NotFound
from hookline.core.links import name_below, object_uri
from hookline.core.ports import Ports
from hookline.core.records import PLATFORM, Tenant, Volume
from hookline.core.topology import Handler
from hookline.core.triggers import Trigger

log = logging.getLogger(__name__)

_VOLUME_KEY = re.compile(r"([^/]+)/volumes/(\d+)/(.+)", re.DOTALL)

Landed = tuple[str, int, str]
"""Tenant, trigger and name of a file that an event speaks of."""


def build(ports: Ports) -> Handler:
    """The handler of SQS events whose bodies are S3 "Object Created" events of EventBridge."""

    def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
        failed = _take(ports, event["Records"])
        return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in sorted(failed)]}

    return handle


def _take(ports: Ports, records: Sequence[dict[str, Any]]) -> set[str]:
    """Make jobs of what landed; return the messages that are to come again."""
    table = Triggers(ports)
    names: dict[tuple[str, int], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    failed: set[str] = set()
    for record in records:
        message_id = record["messageId"]
        try:
            if _was_own(ports, record["body"]):
                continue
            for tenant, trigger_id, name in table.landed(*created(record["body"])):
                names[tenant, trigger_id][name].add(message_id)
        except Exception:  # the edge around a message
            log.exception("drop_failed", extra={"message_id": message_id})
            failed.add(message_id)
    for (tenant, trigger_id), found in names.items():
        try:
            predict(ports, tenant, trigger_id, sorted(found))
        except Exception:  # the edge around the messages of one trigger
            log.exception("drop_failed", extra={"tenant": tenant, "trigger_id": trigger_id})
            failed.update(*found.values())
    return failed


def _was_own(ports: Ports, body: str) -> bool:
    """Do what a message of ours asks for; False for an event of the store."""
    told = json.loads(body)
    if told.get("detail-type") == bursts.BURST_DUE:
        due = (int(told["burst"]), float(told["look_at"]))
        bursts.look(ports, told["tenant"], int(told["trigger_id"]), due)
    elif told.get("detail-type") == starters.GO_ON:
        starters.go_on(ports, told)
    else:
        return False
    return True


class Triggers:
    """The live triggers, read from the catalog once per call of the function."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._live: dict[str, list[Trigger]] = {}
        self._linked: list[tuple[Volume, Trigger]] | None = None

    def landed(self, bucket: str, key: str) -> Iterator[Landed]:
        """Which triggers an object concerns; on one machine, keys of linked files are their URIs.

        Keys of other buckets may look like ours: only the bucket tells. Folders are no files.
        """
        if not key or key.endswith("/"):
            return
        if bucket != self._ports.bucket:
            yield from self._landed_in_link(object_uri(bucket, key))
        elif key.startswith("file:"):
            yield from self._landed_in_link(key)
        elif found := _VOLUME_KEY.fullmatch(key):
            tenant, volume_id, name = found[1], int(found[2]), found[3]
            for trigger in self._of(tenant):
                if trigger.volume_id == volume_id:
                    yield tenant, trigger.id, name

    def _landed_in_link(self, uri: str) -> Iterator[Landed]:
        if self._linked is None:
            self._linked = list(self._of_links())
        for volume, trigger in self._linked:
            if name := name_below(volume.link, uri):
                yield volume.tenant, trigger.id, name

    def _of(self, tenant: str) -> list[Trigger]:
        if tenant not in self._live:
            found = every(self._ports, Trigger, tenant)
            self._live[tenant] = [trigger for trigger in found if trigger.is_on]
        return self._live[tenant]

    def _of_links(self) -> Iterator[tuple[Volume, Trigger]]:
        for tenant in every(self._ports, Tenant, PLATFORM):
            for trigger in self._of(tenant.name):
                volume = self._ports.catalog.get(Volume, tenant.name, trigger.volume_id)
                if volume is not None and volume.link:
                    yield volume, trigger


def predict(ports: Ports, tenant: str, trigger_id: int, names: Sequence[str]) -> None:
    """Let those files gather whose present version the trigger has not seen; begin what is due."""
    trigger = ports.catalog.get(Trigger, tenant, trigger_id)
    volume = ports.catalog.get(Volume, tenant, trigger.volume_id) if trigger else None
    if trigger is None or volume is None:
        return
    try:
        place = source(ports, volume)
    except NotFound:
        return
    gathering = trigger.gathering
    files = [name for name in names if not gathering.is_started_by(name)]
    drops = list(sighted(ports, trigger, place, files))
    if not gathering.starter:
        bursts.add(ports, tenant, trigger_id, drops)
        bursts.look(ports, tenant, trigger_id)
        return
    bursts.note(ports, tenant, trigger_id, drops)
    for name in names:
        if gathering.is_started_by(name):
            starters.begin(ports, trigger, place, name)
