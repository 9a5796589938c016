"""A real cloud on this machine, used from outside: by its command line and over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"
CLASSIFY = ("--formatter", "classification", "--formatter-args", '{"label": true}')
WAIT_S = 60.0


@dataclass
class Cloud:
    """One home folder. `endpoint` is known once it is up."""

    home: Path
    endpoint: str = ""

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
        kept |= {name: value for name, value in os.environ.items() if name.startswith("UV_")}
        path = f"{BIN}:{kept.get('PATH', '')}"
        return {**kept, "PATH": path, "HOOKLINE_HOME": str(self.home), "COLUMNS": "200"}

    def up(self, **environment: str) -> None:
        done = self.run("up", "--port", "0", "-d", environment=environment)
        self.endpoint = done.stdout.strip()

    def down(self) -> None:
        self.run("down")

    def run(
        self,
        *arguments: str,
        program: str = "hookline",
        status: int = 0,
        environment: dict[str, str] | None = None,
        timeout_s: float = 110.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; its exit status must be `status`."""
        done = subprocess.run(
            [BIN / program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**self.environment, **(environment or {})},
            cwd=ROOT,
        )
        assert done.returncode == status, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done

    def ask(self, *arguments: str) -> Any:
        """Run a command and parse its JSON."""
        return json.loads(self.run(*arguments, "-o", "json").stdout)

    def predict(
        self, token: str, body: bytes, mime_type: str = "image/png", path: str = "/predict"
    ) -> httpx2.Response:
        """Post bytes as an application would."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": mime_type}
        return httpx2.post(f"{self.endpoint}{path}", content=body, headers=headers, timeout=WAIT_S)

    def processes(self) -> list[int]:
        """Every process of this cloud: those whose environment or arguments name its home."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    command = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if str(self.home).encode() in command or self._is_host(entry):
                    found.append(int(entry.name))
        return found

    def _is_host(self, entry: Path) -> bool:
        try:
            return f"HOOKLINE_HOME={self.home}\0".encode() in (entry / "environ").read_bytes()
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL every process at once, as a power cut would."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        until(lambda: not self.processes())


def until(is_true: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
    """The first true answer; fails when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = is_true()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError("It did not happen in time.")


@contextmanager
def running(home: Path, **environment: str) -> Iterator[Cloud]:
    """A cloud for the length of the block; nothing of it is left behind."""
    cloud = Cloud(home)
    cloud.up(**environment)
    try:
        yield cloud
        cloud.down()
        assert cloud.processes() == []
    finally:
        cloud.kill()


def digit_files() -> list[Path]:
    """The 100 held-out digits."""
    return sorted((DIGITS / "images").glob("*.png"))
