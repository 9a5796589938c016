"""The drop function: files that landed under a trigger become jobs, each version of a file once.

Events may be doubled, early, late or out of order, so none is believed: the file is looked at, and
the version that is there now is what gets predicted. A Drop record per trigger and version, stored
in the transaction that makes the job, keeps it from being predicted twice.
"""

from __future__ import annotations

import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from hookline.control import outbox
from hookline.control.landings import created
from hookline.control.listing import every
from hookline.control.outbox import Outgoing
from hookline.control.transactions import Write, commit, next_number
from hookline.control.volume_files import Source, source
from hookline.core.errors import CallerError, Conflict, NotFound
from hookline.core.links import name_below, object_uri
from hookline.core.ports import Ports, Put
from hookline.core.records import PLATFORM, Drop, Job, Tenant, Trigger, Volume
from hookline.core.topology import Handler

log = logging.getLogger(__name__)

MAX_JOB_FILES = 90  # each is a write of the transaction, which has 100 and some others
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
    """Make jobs of those files whose present version the trigger has not seen."""
    drops = list(_present(ports, tenant, trigger_id, names))
    for first in range(0, len(drops), MAX_JOB_FILES):
        _predict_some(ports, tenant, trigger_id, drops[first : first + MAX_JOB_FILES])


def _present(ports: Ports, tenant: str, trigger_id: int, names: Sequence[str]) -> Iterator[Drop]:
    """The files that are there, as they are now. One that is not may come with a later event."""
    trigger = ports.catalog.get(Trigger, tenant, trigger_id)
    volume = ports.catalog.get(Volume, tenant, trigger.volume_id) if trigger else None
    if volume is None:
        return
    try:
        place = source(ports, volume)
    except NotFound:
        return
    for name in names:
        found = _looked_at(place, name)
        if found is not None:
            etag, size_bytes, reason = found
            yield Drop(
                tenant=tenant,
                trigger_id=trigger_id,
                name=name,
                etag=etag,
                size_bytes=size_bytes,
                job_id=None,
                reason=reason,
                seen_at=ports.clock(),
            )


def _looked_at(place: Source, name: str) -> tuple[str, int, str] | None:
    """Version, size, and the reason why it cannot be predicted if there is one."""
    try:
        blob = place.stat(name)
    except CallerError as error:  # a name that other programs of the store allow, and we do not
        return "", 0, str(error)
    return (blob.etag, blob.size_bytes, "") if blob else None


def _predict_some(ports: Ports, tenant: str, trigger_id: int, drops: Sequence[Drop]) -> None:
    def plan() -> tuple[list[Outgoing], list[Write]]:
        trigger = ports.catalog.get(Trigger, tenant, trigger_id)
        unseen = [drop for drop in drops if ports.catalog.get(Drop, tenant, drop.key) is None]
        if trigger is None or not trigger.is_on or not unseen:
            return [], []
        wanted = [drop for drop in unseen if not drop.reason]
        # The unchanged trigger makes this fail when it is being turned off.
        writes: list[Write] = [Put(trigger), *(Put(drop) for drop in unseen if drop.reason)]
        if not wanted:
            return [], writes
        number, counted = next_number(ports.catalog, tenant, Job)
        job = _job(trigger, number, _listed(ports, trigger, wanted), ports.clock())
        messages = outbox.for_new_job(job, ports.clock())
        seen = [drop.changed(job_id=number) for drop in wanted]
        return messages, [*writes, counted, *map(Put, [job, *messages, *seen])]

    for message in commit(ports.catalog, plan):
        outbox.send(ports, message)


def _listed(ports: Ports, trigger: Trigger, drops: Sequence[Drop]) -> str:
    """The key of the blob that lists the files; the same files give the same key."""
    lines = [
        json.dumps({"name": drop.name, "size": drop.size_bytes, "etag": drop.etag}) + "\n"
        for drop in drops
    ]
    data = "".join(lines).encode()
    key = f"{trigger.tenant}/triggers/{trigger.id}/{sha256(data).hexdigest()}.jsonl"
    try:
        ports.blobs.put(key, data, if_absent=True)
    except Conflict:
        log.info("drop_listed_before", extra={"tenant": trigger.tenant, "trigger_id": trigger.id})
    return key


def _job(trigger: Trigger, number: int, only: str, now: float) -> Job:
    return Job(
        tenant=trigger.tenant,
        id=number,
        model_id=trigger.model_id,
        volume_id=trigger.volume_id,
        serving=trigger.serving,
        trigger_id=trigger.id,
        only=only,
        created_at=now,
        updated_at=now,
    )
