"""A whole `hookline up` in a folder of its own, driven through the command line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import COMMAND
from bench.servers import free_port, started, wait_for

COMMAND_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Cloud:
    """A running host process and the environment in which its command line finds it."""

    pid: int
    endpoint: str
    environ: dict[str, str]

    def run(self, *arguments: str) -> str:
        """The standard output of one command; a failing one ends the bench with its message."""
        done = subprocess.run(
            [COMMAND, *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"hookline {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def ask(self, *arguments: str) -> Any:
        """The answer of one command, as JSON."""
        return json.loads(self.run(*arguments, "-o", "json"))


@contextmanager
def up(folder: Path) -> Iterator[Cloud]:
    """A fresh cloud whose data, credentials and log lie in `folder`; stopped at the end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}
    home = {name: str(folder / name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    environ = kept | home | {"HOOKLINE_HOME": str(folder / "home"), "HOME": str(folder)}
    port = free_port()
    command = [COMMAND, "up", "--port", str(port)]
    with started(command, environ, folder / "up.log") as process:
        wait_for(f"http://127.0.0.1:{port}/openapi.json", process)
        yield Cloud(process.pid, f"http://127.0.0.1:{port}", environ)
