"""Folders that linked volumes point at: read where they are, never written."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from hookline.adapters.embedded.blobs import Folder
from hookline.adapters.read_only import ReadOnly
from hookline.core.errors import Forbidden, InvalidInput, NotFound


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
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise _not_a_link(uri) from None
    path = Path(unquote(parts.path))
    is_plain = parts.netloc in ("", "localhost") and not parts.query and not parts.fragment
    if parts.scheme != "file" or not is_plain or not path.is_absolute() or "\0" in str(path):
        raise _not_a_link(uri)
    return path


def _not_a_link(uri: str) -> InvalidInput:
    return InvalidInput(
        f"The link {uri!r} cannot be opened on this machine.",
        why="Links are written file:///an/absolute/folder.",
    )
