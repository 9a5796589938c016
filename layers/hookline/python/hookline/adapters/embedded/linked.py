"""Folders that linked volumes point at: read where they are, never written."""

from __future__ import annotations

from pathlib import Path

from hookline.adapters.embedded.blobs import Folder
from hookline.adapters.read_only import ReadOnly
from hookline.core.errors import Forbidden, InvalidInput, NotFound
from hookline.core.links import Link


class LinkedFolder(ReadOnly, Folder):
    """A folder of the user's: its files are listed and read, and every change is refused."""

    @property
    def place(self) -> str:
        return str(self._root)


def open_link(uri: str, *, home: Path) -> LinkedFolder:
    """The folder at `uri` (`file:///…`). Raise NotFound, InvalidInput, or Forbidden for `home`."""
    path = _path_of(uri)
    if not path.is_dir():
        raise NotFound(f"There is no folder {path}.", hint="Link a folder that exists.")
    real, guarded = path.resolve(), home.resolve()
    if real.is_relative_to(guarded) or guarded.is_relative_to(real):
        raise Forbidden(
            f"The folder {path} cannot be linked.",
            why="hookline keeps its own files there, secrets among them.",
            hint="Link a folder that neither holds nor is part of hookline's home.",
        )
    return LinkedFolder(real)


def _path_of(uri: str) -> Path:
    link = Link.parse(uri)
    if link is None or link.scheme != "file" or link.host not in ("", "localhost"):
        raise _not_a_link(uri)
    if not link.path or "\0" in link.path:
        raise _not_a_link(uri)
    return Path(link.path)


def _not_a_link(uri: str) -> InvalidInput:
    return InvalidInput(
        f"The link {uri!r} cannot be opened on this machine.",
        why="Only its folders can be linked here, written file:///an/absolute/folder.",
        hint="Upload the files into a volume, or copy them into a folder and link that.",
    )
