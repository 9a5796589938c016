"""Run one of our own modules to its end in a clean process, within a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from hookline.adapters.machine.exits import ending
from hookline.adapters.machine.spawn import engine_environment
from hookline.core.errors import DeadlineExceeded, Unavailable


def run_module(module: str, argument: str, folder: Path, *, timeout_s: float) -> str:
    """Run `python -m module argument` in `folder`, its output in `log.txt` there.

    Return "" when it ended well, else how it ended. Whatever it started ends with it. Raise
    DeadlineExceeded after `timeout_s`, Unavailable when it cannot be started.
    """
    with (folder / "log.txt").open("ab") as log:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-P", "-m", module, argument],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=engine_environment(folder) | {"PYTHONDONTWRITEBYTECODE": "1"},
                cwd=folder,
                process_group=0,
            )
        except OSError as error:
            raise Unavailable("No process can be started.", why=f"{error.strerror}.") from error
    try:
        status = process.wait(timeout_s)
    except BaseException as error:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise DeadlineExceeded(f"It took longer than {timeout_s:,.0f} s.") from None
        raise
    return ending(status) if status else ""
