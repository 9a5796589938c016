"""A file in the making: under a name nobody lists until it is whole."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hookline.adapters.embedded.beneath import folder, write_failed
from hookline.core.errors import Conflict

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_STALE_S = 3600.0
_TRIES = 20


class Draft:
    """What is written so far; `stat` describes the blob once it is published."""

    stat: os.stat_result

    def __init__(self, path: Path, key: str, file: BinaryIO) -> None:
        self._path, self._key, self._file = path, key, file

    @classmethod
    @contextmanager
    def begin(cls, aside: Path, key: str) -> Iterator[Draft]:
        """A draft in the folder `aside` of the blob `key`; removed unless it was published."""
        path = aside / secrets.token_hex(16)
        try:
            file = os.fdopen(os.open(path, _CREATE, 0o600), "wb")
        except OSError as error:
            raise write_failed(key, error) from error
        try:
            yield cls(path, key, file)
        finally:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # closing flushes again what could not be written
                file.close()

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise write_failed(self._key, error) from error

    def publish(self, root: Path, folders: Sequence[str], name: str, *, if_absent: bool) -> None:
        """Give it its name, durably. Raise Conflict if that is taken and `if_absent`."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._name(root, folders, name, if_absent=if_absent)
        except FileExistsError as error:
            raise Conflict(f"The file {self._key} exists already.") from error
        except OSError as error:
            raise write_failed(self._key, error) from error

    def _name(self, root: Path, folders: Sequence[str], name: str, *, if_absent: bool) -> None:
        for _ in range(_TRIES):
            # A delete may remove the folder as empty just before the file is in it.
            with suppress(FileNotFoundError), folder(root, folders, create=True) as opened:
                if if_absent:
                    os.link(self._path, name, dst_dir_fd=opened)
                else:
                    os.replace(self._path, name, dst_dir_fd=opened)
                os.fsync(opened)
                return
        raise OSError(errno.EAGAIN, "The folder was removed again and again")


def sweep(aside: Path) -> None:
    """Remove drafts that nobody has written to for an hour."""
    for path in aside.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _STALE_S:
                path.unlink()
