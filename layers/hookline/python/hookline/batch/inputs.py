"""Files of volumes that are far away, which stay on a worker's disk from one job to the next.

What is kept is worth no more than the worker's memory of it: the index, with the hash of every
file, is there alone, and files that are no longer what was written are read from the volume anew.
So hooks that can write to this disk, where there is no sandbox, put nothing into the rows of other
jobs; and each worker begins with an empty folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import stat
import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

log = logging.getLogger(__name__)


class Version(NamedTuple):
    """A file as it was: one that changes gets another etag."""

    uri: str
    etag: str


class _File(NamedTuple):
    path: Path
    size_bytes: int
    digest: bytes


class Inputs:
    """At most `most_bytes` below `folder`, which is emptied first: what was used last. Thread-safe.

    Nothing here raises: a disk that is full or broken only makes a worker read more.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._files: OrderedDict[Version, _File] = OrderedDict()
        self._bytes = 0
        self._is_told = False
        self._lock = threading.Lock()
        shutil.rmtree(folder, ignore_errors=True)

    def get(self, version: Version) -> bytes | None:
        """The content as it was put, or None."""
        with self._lock:
            file = self._files.get(version)
            if file is None:
                return None
            self._files.move_to_end(version)
        try:
            body = _read(file.path, file.size_bytes)
        except OSError:  # it had to make room just now, or somebody removed it
            return None
        return body if _digest(body) == file.digest else None

    def put(self, version: Version, body: bytes) -> None:
        """Keep the content, if there is room or room can be made."""
        if len(body) > self._most_bytes:
            return
        path = self._folder / uuid4().hex
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("xb") as kept:  # never through a link that somebody made
                kept.write(body)
        except OSError as error:
            self._say_once(error)
            _remove(path)
            return
        with self._lock:
            gone = self._noted(version, _File(path, len(body), _digest(body)))
        for file in gone:
            _remove(file.path)

    def _say_once(self, error: OSError) -> None:
        if not self._is_told:
            self._is_told = True
            log.warning("input_not_kept", extra={"why": error.strerror})

    def _noted(self, version: Version, file: _File) -> list[_File]:
        """Add it to the index; what has to go for it."""
        before = self._files.pop(version, None)
        self._files[version] = file
        gone = [before] if before else []
        self._bytes += file.size_bytes - sum(one.size_bytes for one in gone)
        while self._bytes > self._most_bytes:
            _, oldest = self._files.popitem(last=False)
            self._bytes -= oldest.size_bytes
            gone.append(oldest)
        return gone


def _read(path: Path, size_bytes: int) -> bytes:
    """No more than was written, whatever stands there now. Raise OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return file.read(size_bytes)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
