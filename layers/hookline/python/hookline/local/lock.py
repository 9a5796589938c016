"""One cloud per home: a lock that its process holds, and that tells others its pid."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hookline.core.errors import Conflict

_FLOCK = "hhqqi"  # struct flock: type, whence, start, length, pid (fcntl(2), 64-bit Linux)


class HomeLock:
    """The lock file `home/lock`. The kernel releases it when the process ends, however it ends."""

    @staticmethod
    @contextmanager
    def taken(home: Path) -> Iterator[None]:
        """Hold the lock. Raise Conflict if another process has it."""
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Conflict(
                f"hookline already runs in {home} (process {HomeLock.holder(home)}).",
                hint="Use it, stop it with `hookline down`, or give another --home.",
            ) from None
        finally:
            os.close(handle)

    @staticmethod
    def holder(home: Path) -> int | None:
        """The process that holds the lock, if any. Not to be called by the holder itself."""
        try:
            handle = os.open(home / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, asked))
        finally:
            os.close(handle)
        return None if answer[0] == fcntl.F_UNLCK else int(answer[4])
