"""List the files below a folder in the order S3 lists keys, page by page."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

from hookline.adapters.embedded.beneath import ABSENT, folder
from hookline.core.errors import Forbidden
from hookline.core.ports import MAX_KEY_BYTES, MAX_PAGE

_SETTLED_NS = 2_000_000_000  # coarser than the clock ticks of any file system's timestamps


class Listing:
    """Walks a tree lazily: only the folders on the way, one folder's names at a time.

    The names of the last big folder are kept between pages, so that a page of a folder of a million
    files costs a search and not a scan.
    """

    def __init__(self, root: Path, hidden: bytes = b"") -> None:
        self._root, self._hidden = root, hidden
        self._kept: tuple[tuple[int, int, int], list[bytes]] | None = None

    def keys(self, prefix: bytes, after: bytes) -> Iterator[bytes]:
        """Keys that start with `prefix` and follow `after`, in byte order."""
        return self._walk(b"", prefix, after)

    def _walk(self, base: bytes, prefix: bytes, after: bytes) -> Iterator[bytes]:
        names = self._names(base)
        first = _first_part(base, max(prefix, after))
        for index in range(bisect_left(names, first), len(names)):
            path = base + names[index]
            if not path.startswith(prefix) and not prefix.startswith(path):
                return
            if path.endswith(b"/"):
                yield from self._walk(path, prefix, after)
            elif path > after and path.startswith(prefix):
                yield path
        self._kept = None

    def _names(self, base: bytes) -> list[bytes]:
        parts = [os.fsdecode(part) for part in base.split(b"/")[:-1]]
        try:
            with folder(self._root, parts) as opened:
                return self._read(opened, base)
        except PermissionError as error:
            raise Forbidden(
                f"The folder {base.decode()} may not be read.",
                hint="Give the user that runs hookline the right to read it.",
            ) from error
        except OSError as error:
            if error.errno in ABSENT:  # deleted, or replaced by a link, while we walk
                return []
            raise

    def _read(self, opened: int, base: bytes) -> list[bytes]:
        info = os.fstat(opened)
        version = (info.st_dev, info.st_ino, info.st_mtime_ns)
        if self._kept and self._kept[0] == version:
            return self._kept[1]
        with os.scandir(opened) as entries:
            names = sorted(name for entry in entries if (name := _name(entry, base)))
        if not base and self._hidden in names:
            names.remove(self._hidden)
        if len(names) > MAX_PAGE and time.time_ns() - info.st_mtime_ns > _SETTLED_NS:
            self._kept = (version, names)
        return names


def _first_part(base: bytes, low: bytes) -> bytes:
    """The part of `low` that names an entry of the folder `base`; empty if every entry follows."""
    if not low.startswith(base):
        return b""
    head, slash, _ = low[len(base) :].partition(b"/")
    return head + slash


def _name(entry: os.DirEntry[str], base: bytes) -> bytes:
    """A folder's name ends with a slash: so its keys sort where S3 has them. Empty: not listed."""
    name = os.fsencode(entry.name)
    if not _is_storable(base + name):
        return b""
    if entry.is_dir(follow_symlinks=False):
        return name + b"/"
    return name if entry.is_file(follow_symlinks=False) else b""


def _is_storable(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return len(path) <= MAX_KEY_BYTES


def parts_of(key: str) -> tuple[Sequence[str], str]:
    """The folders and the name of `key`."""
    *folders, name = key.split("/")
    return folders, name
