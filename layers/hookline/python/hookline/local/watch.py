"""Notices files that land in watched volumes' folders, whoever puts them there.

Every finding becomes the event that S3 would send; the drop function decides what to do with it, so
reporting a file twice is harmless. A file is reported once it is whole: its size and time stood
still between two looks and no process has it open for writing. The sweep finds again what was
reported in vain, and asks here when a file landed and whether it is whole.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from hookline.control import bursts
from hookline.control.landings import event_of
from hookline.control.sightings import unseen
from hookline.core.errors import HooklineError
from hookline.core.names import is_hidden
from hookline.core.ports import MAX_PAGE, BlobInfo, Blobs, Page, Ports
from hookline.core.records import PLATFORM, Record, Tenant, Volume
from hookline.core.topology import DROPS
from hookline.core.triggers import Trigger
from hookline.local.left_out import WHY, LeftOut, left_out
from hookline.staging.volumes import listing, local_path, pages, source

log = logging.getLogger(__name__)
R = TypeVar("R", bound=Record)

LOOK_EVERY_S = 0.5
LEAST_REST = 10  # times as long as a look took: large folders do not keep a core busy
CLOCK_SLACK_S = 0.02  # a file's time comes from the kernel's coarse clock


@dataclass(slots=True)
class _Seen:
    """What is known of one volume: versions reported or older than its triggers, and the unripe."""

    known: dict[str, str] = field(default_factory=dict)
    unripe: dict[str, str] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    is_first_look: bool = True


class Watcher:
    """A thread that looks at every watched volume."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._seen: dict[tuple[str, int], _Seen] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin looking."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End after the look in progress."""
        self._stop.set()
        self._thread.join(timeout_s)

    def look(self) -> None:
        """Report what has landed since the last look."""
        watched = dict(self._watched())
        for gone in self._seen.keys() - watched.keys():
            del self._seen[gone]
        for (tenant, volume_id), since in watched.items():
            volume = self._ports.catalog.get(Volume, tenant, volume_id)
            if volume is not None:
                seen = self._seen.setdefault((tenant, volume_id), _Seen())
                self._look_at(volume, seen, since - CLOCK_SLACK_S)

    def _run(self) -> None:
        rest_s = LOOK_EVERY_S
        while not self._stop.wait(rest_s):
            begun = time.monotonic()
            try:
                self.look()
            except (HooklineError, OSError):  # a folder that went away; the next look may find it
                log.exception("watch_failed")
            rest_s = rest_after(time.monotonic() - begun)

    def _watched(self) -> Iterator[tuple[tuple[str, int], float]]:
        """Each watched volume, with the time since which files count as landed."""
        for tenant in pages(partial(self._query, Tenant, PLATFORM)):
            triggers = pages(partial(self._query, Trigger, tenant.name))
            since: dict[int, float] = {}
            for trigger in triggers:
                if trigger.is_on:
                    earliest = since.get(trigger.volume_id, trigger.created_at)
                    since[trigger.volume_id] = min(earliest, trigger.created_at)
            for volume_id, time_s in since.items():
                yield (tenant.name, volume_id), time_s

    def _look_at(self, volume: Volume, seen: _Seen, since: float) -> None:
        blobs, prefix = source(self._ports, volume)
        listed = listing(blobs, prefix)
        found = [info for info in listed if not is_hidden(info.key.removeprefix(prefix))]
        present = {info.key for info in found}
        for names in (seen.known, seen.unripe):
            for name in names.keys() - present:
                del names[name]
        ripe = [info for info in found if self._is_ripe(blobs, info, seen, since)]
        events = [event_of(self._ports, volume, info) for info in ripe]
        if events:
            self._ports.queue.send(DROPS, events)
        for info in ripe:
            seen.known[info.key] = info.etag
        self._tell_left_out(volume, (blobs, prefix), seen, since)
        seen.is_first_look = False

    def _tell_left_out(
        self, volume: Volume, place: tuple[Blobs, str], seen: _Seen, since: float
    ) -> None:
        """Note in the history why what landed is no input."""
        found = {one.name: one for one in left_out(*place)}
        fresh = [
            one
            for name, one in found.items()
            if name not in seen.left_out
            and (not seen.is_first_look or _landed_after(one.path, since))
        ]
        if fresh:
            self._note(volume, fresh)
        seen.left_out = set(found)

    def _note(self, volume: Volume, found: Sequence[LeftOut]) -> None:
        for trigger in pages(partial(self._query, Trigger, volume.tenant)):
            if trigger.is_on and trigger.volume_id == volume.id:
                drops = [unseen(self._ports, trigger, one.name, WHY[one.reason]) for one in found]
                bursts.note(self._ports, volume.tenant, trigger.id, drops)

    def _is_ripe(self, blobs: Blobs, info: BlobInfo, seen: _Seen, since: float) -> bool:
        if seen.known.get(info.key) == info.etag:
            return False
        path = local_path(blobs.uri(info.key))
        if seen.is_first_look and not _landed_after(path, since):
            seen.known[info.key] = info.etag
            return False
        has_settled = seen.unripe.get(info.key) == info.etag and not is_being_written(path)
        if has_settled:
            del seen.unripe[info.key]
        else:
            seen.unripe[info.key] = info.etag
        return has_settled

    def _query(self, kind: type[R], tenant: str, after: str) -> Page[R]:
        return self._ports.catalog.query(kind, tenant, after=after, limit=MAX_PAGE)


def landed_at(blobs: Blobs, info: BlobInfo) -> float:
    """When a file came, in UTC epoch seconds; 0 once it is gone.

    The change time tells of files whose own time lies ahead, the other of those that were only
    renamed or given other rights.
    """
    try:
        changed_at = local_path(blobs.uri(info.key)).lstat().st_ctime
    except OSError:
        return 0.0
    return min(changed_at, info.modified_at) + CLOCK_SLACK_S


def is_whole(blobs: Blobs, info: BlobInfo) -> bool:
    """Whether no process has the file open for writing."""
    return not is_being_written(local_path(blobs.uri(info.key)))


def rest_after(look_s: float) -> float:
    """How long to rest after a look that took so long, in seconds."""
    return max(LOOK_EVERY_S, LEAST_REST * look_s)


def is_being_written(path: Path) -> bool:
    """Whether any process has the file open for writing; gone counts as yes.

    The kernel grants a read lease only on a file that nobody writes (fcntl(2), F_SETLEASE). Where
    it gives no answer (another owner's file, a network file system), the file counts as closed.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def _landed_after(path: Path, since: float) -> bool:
    # The change time moves when a file is renamed or copied in, whatever time it claims to have.
    try:
        return path.lstat().st_ctime >= since
    except OSError:
        return False
