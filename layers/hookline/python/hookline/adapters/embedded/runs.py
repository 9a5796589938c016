"""Where processes have their folders: short enough a path for a unix socket, private, and empty."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from hashlib import sha256
from pathlib import Path

from hookline.core.errors import HooklineError, Unavailable

MAX_SOCKET_BYTES = 107  # sun_path of Linux, less the final NUL
ID_BYTES = 4
_LONGEST = f"/{'0' * 2 * ID_BYTES}/replica.sock"


def run_folder(home: Path) -> Path:
    """`home/run`, or a folder among the temporary ones when `home` has a long path."""
    inside = home / "run"
    if _is_short(inside):
        return inside
    name = f"hookline-{os.getuid()}-{sha256(os.fsencode(home)).hexdigest()[:8]}"
    outside = Path(tempfile.gettempdir()) / name
    if _is_short(outside):
        return outside
    raise HooklineError(
        f"The home folder {home} has too long a path.",
        why=f"Sockets have paths of at most {MAX_SOCKET_BYTES} bytes, and {outside} is no shorter.",
        hint="Set HOOKLINE_HOME, or TMPDIR, to a folder with a short path.",
    )


def prepare(runs: Path) -> None:
    """Make the folder, or empty it of what processes of an earlier host left.

    Raise HooklineError if others may write there, Unavailable if it cannot be made.
    """
    try:
        runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"The folder {runs} cannot be made.", why=f"{error.strerror}.") from error
    found = runs.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise HooklineError(
            f"The folder {runs} is not private.",
            why="Whoever can write there could answer in the place of a stream.",
            hint="Remove it, then start hookline again.",
        )
    for left in runs.iterdir():
        shutil.rmtree(left, ignore_errors=True)


def discard(runs: Path) -> None:
    """Remove the folder when no process needs it any more."""
    shutil.rmtree(runs, ignore_errors=True)


def _is_short(runs: Path) -> bool:
    return len(os.fsencode(f"{runs}{_LONGEST}")) <= MAX_SOCKET_BYTES
