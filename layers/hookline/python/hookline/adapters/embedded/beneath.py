"""Open files below a folder without ever following a link out of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hookline.core.errors import Conflict, HooklineError, Unavailable

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOTEMPTY, errno.EEXIST}
ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR}


@contextmanager
def folder(root: Path, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """A descriptor of the folder root/parts…, valid inside the block.

    Raise OSError as the kernel gives it, but Unavailable when `root` itself cannot be opened: an
    unmounted disk must not look like an empty folder.
    """
    opened = _open_root(root)
    try:
        for part in parts:
            below = _enter(opened, part, create=create)
            os.close(opened)
            opened = below
        yield opened
    finally:
        os.close(opened)


def _open_root(root: Path) -> int:
    try:
        return os.open(root, _FOLDER)
    except OSError as error:
        raise Unavailable(
            f"The folder {root.name} cannot be opened.",
            why=f"{error.strerror}.",
            hint="Check that it exists, is mounted, and may be read.",
        ) from error


def _enter(parent: int, part: str, *, create: bool) -> int:
    if create:
        make_folder(parent, part)
    return os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)


def make_folder(parent: int, name: str) -> None:
    """Make it durably unless it exists."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
    os.fsync(parent)


def write_failed(key: str, error: OSError) -> HooklineError:
    """What an OSError while writing `key` means to the caller, who may not know where it is."""
    what = f"The file {key.rpartition('/')[2]} cannot be stored."
    if error.errno in _IN_THE_WAY:
        return Conflict(
            what,
            why="Another file is stored under a part of this name, or this name is a folder.",
            hint="Rename the file.",
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        why, hint = "The disk is full.", "Free some disk space, then retry."
        return Unavailable(what, why=why, hint=hint)
    return Unavailable(what, why=f"{error.strerror}.")
