"""How a runtime process starts and ends: tied to its parent, its files whole or absent."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def prctl(option: int, *arguments: int) -> None:
    """Set a property of this process; raise OSError where the kernel refuses."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    if _LIBC.prctl(option, *(ctypes.c_ulong(value) for value in padded)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def kill_me_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends, even by SIGKILL."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def die_with_parent(parent_pid: int) -> None:
    """As `kill_me_with_parent`, and exit now if `parent_pid` is dead already. 0: not tied."""
    if not parent_pid:
        return
    kill_me_with_parent()
    if os.getppid() != parent_pid:
        raise SystemExit(f"The parent process {parent_pid} is gone.")


def write_whole(path: Path, data: bytes) -> None:
    """Make `path` appear with all of `data`, or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(data)
    partial.replace(path)
