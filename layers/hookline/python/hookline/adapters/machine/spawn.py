"""Start child processes with nothing of ours in their environment, and the engine among them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import hookline
from hookline.adapters.machine.exits import ending
from hookline.core.errors import Unavailable

_ENGINE = {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}
# Our own entry points also install packages: they may know how the network is reached.
_TRUSTED = _ENGINE | {"HOME", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
_TRUSTED_PREFIXES = ("UV_", "SSL_CERT_")


def trusted_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """For our own entry points: no settings and no credentials of this process."""
    kept = {
        name: value
        for name, value in environ.items()
        if name.upper() in _TRUSTED or name.startswith(_TRUSTED_PREFIXES)
    }
    return kept | _python()


def engine_environment(run_dir: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """For user code: it is at home in `run_dir`."""
    kept = {name: value for name, value in environ.items() if name in _ENGINE}
    return kept | _python() | {"HOME": str(run_dir), "TMPDIR": str(run_dir)}


def _python() -> dict[str, str]:
    """A child finds this very package, also where it is used without being installed."""
    settings = {"PYTHONUNBUFFERED": "1"}
    parent = Path(hookline.__file__).parents[1]
    if parent != Path(sysconfig.get_path("purelib")):
        settings["PYTHONPATH"] = str(parent)
    return settings


class EngineProcess:
    """The process behind an engine's socket."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End it and whatever it started, at once. Ended already is not an error."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout_s: float | None = None) -> str:
        """Wait for its end and say how it ended: `died with SIGSEGV`.

        Raise Unavailable if it still runs after `timeout_s`.
        """
        try:
            return ending(self._process.wait(timeout_s))
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"The engine still runs after {timeout_s} s.") from error


def spawn_engine(spec_path: Path, log: Path | None = None) -> tuple[socket.socket, EngineProcess]:
    """Start an engine for the spec at `spec_path`; return our end of its socket and the process.

    Its output goes to the end of the file `log`, or where ours goes. Raise Unavailable.
    """
    ours, theirs = socket.socketpair()
    with theirs, ExitStack() as files:
        module = ["-P", "-m", "hookline.runtime.engine"]  # -P: nothing is imported from the cwd
        try:
            output = files.enter_context(log.open("ab")) if log else None
            process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, *module, str(spec_path), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env=engine_environment(spec_path.parent),
                cwd=spec_path.parent,
                process_group=0,
            )
        except OSError as error:
            ours.close()
            raise Unavailable("No engine can be started.", why=f"{error.strerror}.") from error
    return ours, EngineProcess(process)
