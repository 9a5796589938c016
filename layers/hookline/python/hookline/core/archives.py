"""Read a bundle's zip without trusting it: one bad member and the whole zip is refused.

Nothing is written here; `hookline.runtime.artifacts` extracts what `members` let through.
"""

from __future__ import annotations

import re
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from hookline.core.errors import InvalidBundle

HOOK_FILE = "inference.py"
MAX_ENTRIES = 10_000
MAX_TOTAL_BYTES = 2 * 1024**3
MAX_RATIO = 200
RATIO_FREE_BYTES = 100 * 1024**2  # small files may compress as well as they like
MAX_NAME_BYTES = 255  # of one path segment, as file systems have it
MAX_DIRECTORY_BYTES = 16 * 1024**2

_END_RECORD_BYTES = 22  # of the end of central directory record (APPNOTE 4.3.16)
_MAX_COMMENT_BYTES = 65_535
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NOISE = ("__MACOSX/",)  # the Finder's resource forks
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a zip: `name` inside the archive, `path` below the bundle's own top."""

    name: str
    path: str
    size_bytes: int


def members(file: BinaryIO) -> list[Member]:
    """The files of the zip in `file`, a single top folder left out of their paths.

    Raise InvalidBundle for the whole zip when any entry is unsafe, when it would unpack too large,
    or when it has no inference.py.
    """
    length_bytes = _checked_directory(file)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
        raise InvalidBundle("The bundle is not a readable zip.", why=f"{error}.") from error
    for entry in entries:
        _check_entry(entry)
    _check_sizes(entries, length_bytes)
    _check_collisions(entries)
    files = [e for e in entries if not e.is_dir() and not e.orig_filename.startswith(_NOISE)]
    top = _top_folder([entry.filename for entry in files])
    return [Member(e.filename, e.filename.removeprefix(top), e.file_size) for e in files]


def _checked_directory(file: BinaryIO) -> int:
    """The length of `file`, once its directory is known to be small enough to be read."""
    length_bytes = file.seek(0, 2)
    tail_bytes = min(length_bytes, _END_RECORD_BYTES + _MAX_COMMENT_BYTES)
    file.seek(length_bytes - tail_bytes)
    tail = file.read(tail_bytes)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END_RECORD_BYTES:
        raise InvalidBundle(
            "The bundle is not a zip.", hint="Give a zip, a volume, or one .py file."
        )
    (entries, directory_bytes) = struct.unpack_from("<HI", tail, at + 10)
    if entries > MAX_ENTRIES or directory_bytes > MAX_DIRECTORY_BYTES:
        raise InvalidBundle(
            "The zip has too many entries.", why=f"A bundle may have {MAX_ENTRIES} at most."
        )
    file.seek(0)
    return length_bytes


def _check_entry(entry: zipfile.ZipInfo) -> None:
    why = _name_fault(entry.orig_filename) or _kind_fault(entry)
    if why:
        raise InvalidBundle(
            f"The zip was refused because of its entry {entry.orig_filename[:100]!r}.",
            why=why,
            hint="Make a zip of plain files with relative names.",
        )


def _name_fault(name: str) -> str:
    segments = name.removesuffix("/").split("/")
    if name.startswith("/") or _DRIVE.match(name):
        return "Its name is absolute."
    if "\\" in name:
        return "Its name has a backslash."
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        return "Its name has a control character."
    if any(segment in ("", ".", "..") for segment in segments):
        return "Its name does not stay inside the bundle."
    if any(len(segment.encode()) > MAX_NAME_BYTES for segment in segments):
        return f"A part of its name is longer than {MAX_NAME_BYTES} bytes."
    return ""


def _kind_fault(entry: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "It is a link or a device, not a file."
    if kind == stat.S_IFDIR and not entry.is_dir():
        return "It claims to be a folder and a file at once."
    if entry.flag_bits & _ENCRYPTED:
        return "It is encrypted."
    if entry.compress_type not in _READABLE:
        return "It is compressed with a method other than deflate."
    return ""


def _check_sizes(entries: Iterable[zipfile.ZipInfo], length_bytes: int) -> None:
    total_bytes = sum(entry.file_size for entry in entries)
    if total_bytes > MAX_TOTAL_BYTES:
        raise InvalidBundle(
            f"The zip would unpack to {total_bytes} bytes.",
            why=f"A bundle may have {MAX_TOTAL_BYTES} at most.",
        )
    # Against the file's own length: overlapping entries share their compressed bytes.
    if total_bytes > RATIO_FREE_BYTES and total_bytes > MAX_RATIO * length_bytes:
        raise InvalidBundle(
            f"The zip would unpack to {total_bytes // length_bytes} times its size.",
            why=f"More than {MAX_RATIO} times is taken for an attack.",
        )


def _check_collisions(entries: Iterable[zipfile.ZipInfo]) -> None:
    """Refuse names that some file system holds for the same, and files that are also folders."""
    files: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        path = PurePosixPath(unicodedata.normalize("NFC", entry.orig_filename).casefold())
        mine = folders if entry.is_dir() else files
        if str(path) in files:
            raise InvalidBundle(f"The zip holds {entry.orig_filename[:100]!r} more than once.")
        mine.add(str(path))
        folders.update(str(parent) for parent in path.parents)
    both = files & folders
    if both:
        raise InvalidBundle(f"The zip holds {min(both)[:100]!r} as a file and as a folder.")


def _top_folder(names: list[str]) -> str:
    """The prefix all names share when inference.py lies in a single top folder, else nothing."""
    if HOOK_FILE in names:
        return ""
    tops = {name.partition("/")[0] for name in names}
    top = f"{min(tops)}/" if len(tops) == 1 else ""
    if not top or f"{top}{HOOK_FILE}" not in names:
        raise InvalidBundle(
            f"The zip has no {HOOK_FILE}.",
            why="The hooks are the functions of that file.",
            hint=f"Put {HOOK_FILE} at the top of the zip, or in its only folder.",
        )
    return top
