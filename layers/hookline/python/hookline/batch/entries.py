"""What a job predicts, one by one: a file of a volume, or a record of a file."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from hookline.core.ports import Blobs, Ports
from hookline.core.records import Volume

WHOLE = -1


class File(msgspec.Struct, frozen=True):
    """A file of the volume as the listing saw it. `etag` is empty where nobody told it.

    For a record of a file, `start` is its place in the file, and the name ends with its number.
    """

    name: str
    size_bytes: int = msgspec.field(name="size")
    etag: str
    start: int = WHOLE


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the manifest. `index` counts the files, or records, of the job from 0."""

    index: int = msgspec.field(name="i")
    name: str
    size_bytes: int = msgspec.field(name="size")
    etag: str
    start: int = WHOLE

    @property
    def is_record(self) -> bool:
        return self.start != WHOLE

    @property
    def file(self) -> str:
        """The name of the file that it is, or is in."""
        return self.name.rpartition("#")[0] if self.is_record else self.name

    @property
    def number(self) -> int:
        """Of a record in its file, from 1."""
        return int(self.name.rpartition("#")[2])


class Source(NamedTuple):
    """Where the files of a volume are: blobs, under a prefix."""

    blobs: Blobs
    prefix: str

    @classmethod
    def of(cls, ports: Ports, volume: Volume) -> Source:
        if volume.link:
            return cls(ports.linked(volume.link), "")
        return cls(ports.blobs, volume.prefix)
