"""Where a volume's files lie, and how to list them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from hookline.core.ports import MAX_PAGE, BlobInfo, Blobs, Page, Ports
from hookline.core.records import Volume

T = TypeVar("T")


def source(ports: Ports, volume: Volume) -> tuple[Blobs, str]:
    """Where a volume's files are: the store, and the prefix of their keys in it."""
    return (ports.linked(volume.link), "") if volume.link else (ports.blobs, volume.prefix)


def listing(blobs: Blobs, prefix: str) -> Iterator[BlobInfo]:
    """Every blob under a prefix, page by page."""
    return pages(lambda after: blobs.list(prefix, after=after, limit=MAX_PAGE))


def local_path(uri: str) -> Path:
    """The path of a `file://` URI."""
    return Path(unquote(urlsplit(uri).path))


def pages(page_after: Callable[[str], Page[T]]) -> Iterator[T]:
    """Every item of a listing that is asked for page by page."""
    after = ""
    while True:
        page = page_after(after)
        yield from page.items
        if not page.after:
            return
        after = page.after
