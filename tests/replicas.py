"""Real replica processes for tests: written from hooks, started, waited for, ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hookline.runtime import spec
from hookline.runtime.spec import LaunchSpec, PipelineSpec, SandboxSpec, ServerSpec

ECHO = """
import time

def init(prm):
    return object()

def preprocess(input, model):
    return input

def predict(data, model):
    if data.startswith(b"sleep "):
        time.sleep(float(data.split()[1]))
    if data == b"bad":
        raise ValueError("this one is bad")
    return data

def postprocess(output, raw_input):
    return output
"""

DEADLINE_S = 20.0


def until(is_true: Callable[[], object], what: str = "it") -> None:
    """Poll; fail the test when it does not become true."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_true():
        assert time.monotonic() < deadline_s, f"{what} did not happen within {DEADLINE_S} s"
        time.sleep(0.005)


@dataclass
class Process:
    """One `python -m hookline.runtime.replica`."""

    popen: subprocess.Popen[bytes]
    folder: Path

    @property
    def ready_file(self) -> Path:
        return self.folder / "run" / "ready"

    @property
    def failure_file(self) -> Path:
        return self.folder / "run" / "failure.json"

    @property
    def socket_path(self) -> Path:
        return self.folder / "run" / "s"

    @property
    def log(self) -> list[dict[str, Any]]:
        lines = (self.folder / "log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_ready(self) -> str:
        until(lambda: self.ready_file.exists() or self.popen.poll() is not None, "ready")
        assert self.ready_file.exists(), (self.folder / "log").read_text()
        return self.ready_file.read_text()

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE_S)
        connection.connect(str(self.socket_path))
        return connection

    def stop(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(DEADLINE_S)


def launch_spec(
    folder: Path,
    hooks: str = ECHO,
    *,
    sandbox: SandboxSpec | None = None,
    pipeline: PipelineSpec | None = None,
    places: tuple[str, ...] = (),
    **server: Any,
) -> Path:
    """Lay out a launch in `folder`: code, an empty model, a run folder, the spec file."""
    code, run = folder / "code", folder / "run"
    code.mkdir(parents=True, exist_ok=True)
    run.mkdir()
    (code / "inference.py").write_text(hooks)
    (folder / "model").touch()
    server.setdefault("unix_socket", str(run / "s"))
    launch = LaunchSpec(
        pipeline=pipeline or PipelineSpec(model_path=str(folder / "model"), code_dir=str(code)),
        server=ServerSpec(
            ready_file=str(run / "ready"), failure_file=str(run / "failure.json"), **server
        ),
        sandbox=sandbox or SandboxSpec(mode="off"),
        parent_pid=os.getpid(),
        places=places,
    )
    spec.write(launch, folder / "spec.json")
    return folder / "spec.json"


@contextlib.contextmanager
def replica(folder: Path, hooks: str = ECHO, **settings: Any) -> Iterator[Process]:
    """A started replica, killed at the end if it is still there."""
    path = launch_spec(folder, hooks, **settings)
    command = [sys.executable, "-P", "-m", "hookline.runtime.replica", str(path)]
    with (folder / "log").open("wb") as log:
        popen = subprocess.Popen(
            command, env={"PATH": os.environ["PATH"]}, stdout=log, stderr=log, cwd="/"
        )
    try:
        yield Process(popen, folder)
    finally:
        popen.kill()
        popen.wait()


def post(body: bytes, *headers: str) -> bytes:
    """The bytes of one request."""
    lines = ["POST /predict HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of one answer; fails when the connection ends before it is whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    sizes = [line for line in lines if line.lower().startswith(b"content-length:")]
    while len(body) < int(sizes[0].split(b":")[1]):
        body += _some(connection)
    return int(lines[0].split()[1]), body


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    assert data, "the connection ended before the answer was whole"
    return data
