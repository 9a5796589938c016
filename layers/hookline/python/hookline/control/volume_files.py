"""Where the files of a volume are, uploaded or linked, and how to walk through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hookline.core.ports import BlobInfo, Blobs, Ports
from hookline.core.records import Volume


@dataclass(frozen=True, slots=True)
class Source:
    """A volume's files: blobs whose keys are `prefix` and the file's name."""

    blobs: Blobs
    prefix: str

    def stat(self, name: str) -> BlobInfo | None:
        """The file of that name, if it is there."""
        return self.blobs.stat(self.prefix + name)

    def walk(self) -> Iterator[BlobInfo]:
        """Every file, page by page; the folder markers of S3 consoles are no files."""
        after = ""
        while True:
            page = self.blobs.list(self.prefix, after=after)
            yield from (blob for blob in page.items if not blob.key.endswith("/"))
            if not page.after:
                return
            after = page.after


def source(ports: Ports, volume: Volume) -> Source:
    """The place of a volume. Raise NotFound or Forbidden when a linked one cannot be opened."""
    if volume.link:
        return Source(ports.linked(volume.link), "")
    return Source(ports.blobs, volume.prefix)
