"""What of a volume's folder is no input, and why: dotfiles, links, names that are no text."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from hookline.batch.entries import Source
from hookline.client.files import DOTFILE, LINK, NO_FILE, NO_TEXT, reason_to_skip
from hookline.control.sightings import HIDDEN
from hookline.core.ports import MAX_KEY_BYTES, Blobs
from hookline.staging.volumes import local_path

TOO_LONG = "name is too long"
WHY = {
    DOTFILE: HIDDEN,
    LINK: "It is a link, and links are not followed.",
    NO_FILE: "It is neither a file nor a folder.",
    NO_TEXT: "Its name is not UTF-8: rename it.",
    TOO_LONG: f"Its path has more than {MAX_KEY_BYTES} bytes.",
}


class LeftOut(NamedTuple):
    """One that is no input. `name` is as far as it can be written in UTF-8."""

    name: str
    path: Path
    reason: str


def left_out(blobs: Blobs, prefix: str) -> Iterator[LeftOut]:
    """Whatever is below the folder of a volume and no input; a folder counts as one."""
    waiting = [(local_path(blobs.uri(prefix)), "")]
    while waiting:
        folder, base = waiting.pop()
        for entry in _entries(folder):
            name = base + entry.name
            reason = reason_to_skip(entry) or _too_long(prefix + name)
            if reason:
                yield LeftOut(_shown(name), Path(entry.path), reason)
            elif entry.is_dir():
                waiting.append((Path(entry.path), f"{name}/"))


def count(source: Source) -> Mapping[str, int]:
    """How many there are of each reason."""
    return Counter(found.reason for found in left_out(*source))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # gone meanwhile, or the listing beside this one says why it cannot be read
        return []


def _too_long(key: str) -> str:
    return TOO_LONG if len(key.encode()) > MAX_KEY_BYTES else ""


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
