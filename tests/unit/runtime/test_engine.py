"""The engine and its client: real child processes, and hostile ones."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hookline.core.errors import HookFailed, HooklineError, InvalidInput, InvalidOutput, TooLarge
from hookline.runtime import frames
from hookline.runtime.engine import EngineClient, EngineDied
from hookline.runtime.items import Answer, Item
from hookline.runtime.spec import SandboxSpec
from tests.replicas import ECHO, launch_spec, until


@dataclass
class Engine:
    popen: subprocess.Popen[bytes]
    client: EngineClient
    log: Path


@contextlib.contextmanager
def engine(folder: Path, hooks: str = ECHO, sandbox: SandboxSpec | None = None) -> Iterator[Engine]:
    path = launch_spec(folder, hooks, sandbox=sandbox)
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", "hookline.runtime.engine", str(path)]
    with theirs, (folder / "log").open("wb") as log:
        popen = subprocess.Popen(
            [*command, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={"PATH": os.environ["PATH"]},
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    client = EngineClient(ours)
    try:
        yield Engine(popen, client, folder / "log")
    finally:
        client.close()
        popen.kill()
        popen.wait()


def items(*bodies: bytes) -> list[Item]:
    return [Item(body, "text/plain", f"{number}.txt") for number, body in enumerate(bodies)]


def texts(outcomes: list[Answer | HooklineError]) -> list[bytes]:
    return [outcome.body for outcome in outcomes if isinstance(outcome, Answer)]


def test_batches_come_back_in_order_and_a_bad_item_fails_alone(tmp_path: Path) -> None:
    with engine(tmp_path) as started:
        started.client.wait_ready(20)

        first, bad, last = started.client.run(items(b"one", b"bad", b"three"), 10)

        assert texts([first, last]) == [b"one", b"three"]
        assert isinstance(bad, HookFailed)
        assert "ValueError" in bad.trace
        assert texts(started.client.run(items(b"again"), 10)) == [b"again"]
        assert started.client.run([], 10) == []


def test_large_bodies_pass(tmp_path: Path) -> None:
    body = os.urandom(9_000_000)
    with engine(tmp_path) as started:
        started.client.wait_ready(20)

        assert texts(started.client.run(items(body, body), 20)) == [body, body]


def test_an_engine_ends_when_its_worker_hangs_up(tmp_path: Path) -> None:
    with engine(tmp_path) as started:
        started.client.wait_ready(20)
        started.client.close()

        assert started.popen.wait(10) == 0


def test_a_hook_that_fails_to_import_is_told_with_its_traceback(tmp_path: Path) -> None:
    with engine(tmp_path, "raise RuntimeError('no luck')") as started:
        with pytest.raises(HookFailed) as failed:
            started.client.wait_ready(20)

        assert "no luck" in failed.value.trace
        assert started.popen.wait(10) == 3


@pytest.mark.parametrize(
    "crash",
    ["os._exit(0)", "os.kill(os.getpid(), 9)", "ctypes.string_at(0)", "os.closerange(3, 9999)"],
)
def test_a_crashing_hook_is_an_engine_that_died(tmp_path: Path, crash: str) -> None:
    hooks = ECHO.replace('if data == b"bad":', f'if data == b"crash": {crash}\n    if False:')
    with engine(tmp_path, f"import ctypes, os\n{hooks}") as started:
        started.client.wait_ready(20)
        assert texts(started.client.run(items(b"fine"), 10)) == [b"fine"]

        with pytest.raises(EngineDied):
            started.client.run(items(b"fine", b"crash"), 10)

        started.popen.wait(10)


def test_a_hook_that_hangs_is_an_engine_that_died_in_time(tmp_path: Path) -> None:
    with engine(tmp_path) as started:
        started.client.wait_ready(20)
        started_s = time.monotonic()

        with pytest.raises(EngineDied, match="in time"):
            started.client.run(items(b"sleep 60"), 0.3)

        assert time.monotonic() - started_s < 5


def test_hooks_may_print_and_close_the_standard_descriptors(tmp_path: Path) -> None:
    rude = 'print("hello from the hook"); os.write(1, b"raw\\n"); os.closerange(0, 3)'
    hooks = ECHO.replace('if data == b"bad":', f'if data == b"rude": {rude}\n    if False:')
    with engine(tmp_path, f"import os\n{hooks}") as started:
        started.client.wait_ready(20)

        assert texts(started.client.run(items(b"rude", b"after"), 10)) == [b"rude", b"after"]
        assert texts(started.client.run(items(b"later"), 10)) == [b"later"]

        printed = started.log.read_text()
        assert "hello from the hook" in printed
        assert "raw" in printed


def test_ctrl_c_in_the_terminal_is_not_for_the_engine(tmp_path: Path) -> None:
    with engine(tmp_path) as started:
        started.client.wait_ready(20)
        started.popen.send_signal(signal.SIGINT)

        assert texts(started.client.run(items(b"still here"), 10)) == [b"still here"]


def test_an_error_that_no_utf_8_can_carry_still_arrives(tmp_path: Path) -> None:
    hooks = ECHO.replace('"this one is bad"', '"\\ud800"')
    with engine(tmp_path, hooks) as started:
        started.client.wait_ready(20)

        (outcome,) = started.client.run(items(b"bad"), 10)

        assert isinstance(outcome, HookFailed)


def test_an_engine_works_inside_the_sandbox(tmp_path: Path) -> None:
    sandbox = SandboxSpec(mode="auto", hide=(str(tmp_path),))
    with engine(tmp_path, sandbox=sandbox) as started:
        started.client.wait_ready(20)

        assert texts(started.client.run(items(b"one"), 10)) == [b"one"]

        started.client.close()
        assert started.popen.wait(10) == 0


def test_a_crash_inside_the_sandbox_is_seen_at_once(tmp_path: Path) -> None:
    hooks = "import os\n" + ECHO.replace("raise ValueError(", "os._exit(9 or ")
    with engine(tmp_path, hooks, SandboxSpec(mode="auto")) as started:
        started.client.wait_ready(20)

        with pytest.raises(EngineDied, match="ended"):
            started.client.run(items(b"bad"), 10)

        assert started.popen.wait(10) == 9


def test_a_batch_too_large_for_a_frame_is_refused_before_it_is_sent() -> None:
    body = bytes(1 << 20)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TooLarge):
        EngineClient(ours).run(items(*[body] * 1024), 1)


def test_answers_too_large_for_a_frame_cost_the_largest_only() -> None:
    small, large = Answer(b"s", "text/plain"), Answer(b"l" * 40_000, "text/plain")

    rows = frames.fitting([small, large, small], limit_bytes=30_000)
    first, second, third = (row.outcome() for row in rows)

    assert (first, third) == (small, small)
    assert isinstance(second, InvalidOutput)
    assert "40" in second.what


@pytest.mark.parametrize(
    "reply",
    [
        b"\xff\xff\xff\xff",
        struct.pack(">I", 3) + b"\xc1\xc1\xc1",
        struct.pack(">I", 1) + b"\x01",
        struct.pack(">I", 100) + b"cut",
    ],
)
def test_a_hostile_engine_cannot_confuse_its_worker(reply: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(reply)
        theirs.shutdown(socket.SHUT_WR)

        with pytest.raises(EngineDied):
            EngineClient(ours).run(items(b"x"), 1)


def _answering(make: Callable[[frames.Request], frames.Reply]) -> EngineClient:
    """A client whose engine, a thread here, answers one request with what `make` gives."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        with theirs:
            frames.send(theirs, make(frames.receive(theirs, frames.Request)))

    threading.Thread(target=answer, daemon=True).start()
    return EngineClient(ours)


@pytest.mark.parametrize(
    "make",
    [
        lambda request: frames.Reply(request.number + 1, [frames.Row.of(InvalidInput("x"))]),
        lambda request: frames.Reply(request.number, []),
    ],
)
def test_an_answer_to_another_question_is_not_taken(
    make: Callable[[frames.Request], frames.Reply],
) -> None:
    client = _answering(make)
    with pytest.raises(EngineDied):
        client.run(items(b"x"), 5)
    client.close()


def test_an_unknown_error_code_becomes_a_plain_error() -> None:
    error = frames.Fault("of_the_future", "What.", "Why.").error()

    assert type(error) is HooklineError
    assert str(error) == "What. Why."


def test_an_engine_dies_with_its_parent(tmp_path: Path) -> None:
    code = """
import os, socket, subprocess, sys, time
from pathlib import Path
from hookline.runtime.engine import EngineClient
from tests.replicas import launch_spec
path = launch_spec(Path(sys.argv[1]))
ours, theirs = socket.socketpair()
child = subprocess.Popen(
    [sys.executable, "-m", "hookline.runtime.engine", str(path), str(theirs.fileno())],
    pass_fds=[theirs.fileno()],
)
EngineClient(ours).wait_ready(20)
print(child.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "e")], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())

    parent.kill()
    parent.wait()
    parent.stdout.close()

    until(lambda: not Path(f"/proc/{child}/cmdline").exists() or _is_zombie(child), "its end")


def _is_zombie(pid: int) -> bool:
    return not Path(f"/proc/{pid}/cmdline").read_bytes()
