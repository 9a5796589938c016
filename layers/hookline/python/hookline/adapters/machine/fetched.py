"""Folders that are fetched from outside: each once, whole or not at all.

However many processes ask for a folder at once, and whichever of them is killed, it is built by one
of them at a time and appears under its name when it is complete.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hookline.core.errors import DeadlineExceeded

POLL_S = 0.1
# What a program that fetches may know of this process's environment: how the outside is reached.
# The platform's own settings and credentials stay behind.
_PASSED_ON = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "PATH", "LANG"}
_PREFIX = "SSL_CERT_"


def built_once(
    target: Path, build: Callable[[Path], Path], *, deadline: float, late: DeadlineExceeded
) -> Path:
    """The folder `target`, made of what `build` returns where it does not exist yet.

    `build` gets a new folder beside it to work in, and returns the folder in there that is to be
    renamed. `deadline`: of time.monotonic(); `late` is raised when another builder outlasts it.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _held(target.with_name(f"{target.name}.lock"), deadline, late):
        if not target.is_dir():
            for abandoned in target.parent.glob(f".{target.name}-*"):
                shutil.rmtree(abandoned, ignore_errors=True)
            _build(target, build)
    return target


def outside_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of `environ` that says how the outside is reached."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(_PREFIX) or name.upper() in _PASSED_ON
    }


def _build(target: Path, build: Callable[[Path], Path]) -> None:
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        build(work).rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _held(lock: Path, deadline: float, late: DeadlineExceeded) -> Iterator[None]:
    """Hold a lock that the kernel frees when this process dies."""
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise late from None
                time.sleep(POLL_S)
        yield
