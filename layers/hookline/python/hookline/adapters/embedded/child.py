"""One process of a group, from its start to its end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hookline.adapters.embedded.logs import Lines
from hookline.adapters.machine.exits import ending
from hookline.core.errors import HookCrashed, HooklineError, ModelLoadFailed
from hookline.core.ports import Failure, Group, GroupState, Process

SOCKET = "replica.sock"
_READ_BYTES = 64 * 1024
_MAX_FAILURE_BYTES = 64 * 1024
_TAIL_LINES = 20
_LAST_READS = 16  # something that escaped may hold the other end and go on printing


class Child:
    """A started process. Its supervisor tells it the time and reads its output.

    `run_dir` is its own: a file `ready` appears there when it serves, `failure.json` when it could
    not start, and its socket is there.
    """

    def __init__(
        self,
        group: Group,
        process_id: str,
        run_dir: Path,
        process: subprocess.Popen[bytes],
        started_at: float,
    ) -> None:
        self.group, self.process_id, self.run_dir = group, process_id, run_dir
        self.state: GroupState = "starting"
        self.kill_at = 0.0  # while draining: when patience ends
        self.leave_at = 0.0  # while lingering: when it is asked to end
        self._born, self._patience_s = time.monotonic(), 0.0
        self._process, self._started_at = process, started_at
        self._lines, self._tail = Lines(), deque[bytes](maxlen=_TAIL_LINES)
        self._ready_since = 0.0
        self.pidfd = os.pidfd_open(process.pid)

    @classmethod
    def start(
        cls,
        group: Group,
        process_id: str,
        run_dir: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        started_at: float,
    ) -> Child:
        """Run `command` in its own session, so that no signal of a terminal reaches it."""
        process = subprocess.Popen(  # noqa: S603 - the command is our own entry point
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=run_dir,
            start_new_session=True,
        )
        child = cls(group, process_id, run_dir, process, started_at)
        os.set_blocking(child.output, False)
        return child

    @property
    def place(self) -> tuple[str, str]:
        return self.group.tenant, self.group.name

    @property
    def runs(self) -> bool:
        return self.state in ("starting", "ready")

    @property
    def output(self) -> int:
        """The descriptor its output arrives at."""
        assert self._process.stdout is not None  # noqa: S101 - it was started with a pipe
        return self._process.stdout.fileno()

    def described(self, failure: Failure | None = None) -> Process:
        """As the port describes it."""
        is_stream = self.group.role == "stream"
        return Process(
            *self.place,
            self.process_id,
            self.state,
            address=f"unix:{self.run_dir / SOCKET}" if is_stream else "",
            started_at=self._started_at,
            failure=failure,
        )

    def look(self, now: float) -> bool:
        """Whether it has become ready since the last look. `now`: monotonic."""
        # os.access: the user's code may have closed the folder to us, which must not raise
        if self.state != "starting" or not os.access(self.run_dir / "ready", os.F_OK):
            return False
        self.state, self._ready_since = "ready", now
        return True

    def age_s(self, now: float) -> float:
        return now - self._born

    def give_up(self, after_s: float) -> None:
        """End it because it was not ready in time."""
        self._patience_s = after_s
        self.kill()

    def healthy_s(self, now: float) -> float:
        """How long it has been ready; 0 if it never was."""
        return now - self._ready_since if self._ready_since else 0.0

    def linger(self, leave_at: float) -> None:
        """Let it answer what may still come, and ask it to end at `leave_at`."""
        self.state, self.leave_at, self.kill_at = "draining", leave_at, float("inf")

    def drain(self, kill_at: float) -> None:
        """Ask it to end; it is killed at `kill_at`."""
        self.state, self.leave_at, self.kill_at = "draining", 0.0, kill_at
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)

    def kill(self) -> None:
        """End it and whatever shares its process group."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def read(self) -> list[bytes] | None:
        """The lines it has printed since; None once nothing more can come."""
        try:
            data = os.read(self.output, _READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            return None
        lines = self._lines.feed(data)
        self._tail.extend(lines)
        return lines

    def reap(self) -> list[bytes]:
        """After its end: stop what it left behind, free everything, return its last lines."""
        self.kill()  # before the wait: until then its process group cannot belong to others
        self._process.wait()
        last: list[bytes] = []
        for _ in range(_LAST_READS):
            if not (lines := self.read()):
                break
            last += lines
        last += self._lines.end()
        self._tail.extend(last)
        os.close(self.pidfd)
        if self._process.stdout:
            self._process.stdout.close()
        return last

    def failure(self) -> Failure:
        """Why it ended: what it has left in writing, else how it died and its last lines."""
        told = _told(self.run_dir / "failure.json")
        if told:
            return told
        kind: type[HooklineError] = HookCrashed if self._ready_since else ModelLoadFailed
        return Failure(
            code=(kind if self.group.role == "stream" else HooklineError).code,
            message=f"The process {self._ending()}.",
            trace=b"\n".join(self._tail).decode(errors="replace"),
        )

    def _ending(self) -> str:
        if self._patience_s:
            return f"was not ready after {self._patience_s:g} s and was ended"
        while_loading = "" if self._ready_since else " while it was starting"
        return f"{ending(self._process.returncode)}{while_loading}"

    def remove_files(self) -> None:
        """Its folder is of use to nobody after its end."""
        shutil.rmtree(self.run_dir, ignore_errors=True)


def _told(path: Path) -> Failure | None:
    """User code may write in that folder: take nothing but a small regular file of three texts."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        is_file = stat.S_ISREG(os.fstat(opened).st_mode)
        told = json.loads(os.read(opened, _MAX_FAILURE_BYTES)) if is_file else {}
        return Failure(*(_text(told[name]) for name in ("code", "message", "trace")))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    finally:
        os.close(opened)


def _text(value: object) -> str:
    """JSON may spell halves of characters, which nothing can store."""
    return str(value).encode("utf-8", "replace").decode()
