"""The worker with the engine it has in earnest: a child process that hooks can kill or hang."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from hookline.batch.worker import Worker
from hookline.core.models import Model
from hookline.core.records import Job
from hookline.runtime.engine import EngineClient
from hookline.runtime.items import Item, Outcome
from tests.invariants import check_job, csv_rows
from tests.replicas import launch_spec
from tests.unit.batch.world import World

HOOKS = """
import ctypes, os, resource, signal, sys, time

def init(prm):
    return object()

def preprocess(input, model):
    if input == b"exit":
        os._exit(9)
    if input == b"hang":
        while True:
            pass
    if input == b"segfault":
        ctypes.string_at(0)
    if input == b"killed":  # as the kernel does when memory runs out
        os.kill(os.getpid(), signal.SIGKILL)
    if input == b"memory":
        resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
        return bytearray(2**33)
    if input == b"sys.exit":
        sys.exit(7)
    if input == b"bad":
        raise ValueError("this one is bad \\ud800")
    return input

def predict(data, model):
    return data

def postprocess(output, raw_input):
    return output
"""


@dataclass
class ChildEngine:
    client: EngineClient
    child: subprocess.Popen[bytes]

    @classmethod
    def open(cls, hooks: str, folder: Path) -> ChildEngine:
        path = launch_spec(folder, hooks)
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "hookline.runtime.engine", str(path)]
        with theirs:
            child = subprocess.Popen(
                [*command, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={"PATH": os.environ["PATH"]},
                stderr=subprocess.DEVNULL,
            )
        engine = cls(EngineClient(ours), child)
        try:
            engine.client.wait_ready(30)
        except BaseException:
            engine.close()
            raise
        return engine

    def run(self, items: Sequence[Item], timeout_s: float) -> list[Outcome]:
        return self.client.run(items, timeout_s)

    def close(self) -> None:
        self.client.close()
        self.child.kill()
        self.child.wait()


def run(world: World, hooks: str, folder: Path) -> Job:
    numbers = count()

    def opened(_job: Job, _model: Model) -> ChildEngine:
        return ChildEngine.open(hooks, folder / f"engine {next(numbers)}")

    world.plan()
    worker = Worker(world.ports, opened, draining=world.draining, file_timeout_s=1.0)
    while worker.step():
        pass
    worker.close()
    world.finish()
    return world.job()


@pytest.mark.slow
def test_hooks_that_die_hang_or_raise_cost_one_row_each(world: World, tmp_path: Path) -> None:
    files = {f"{n:02}.txt": b"fine" for n in range(12)}
    files |= {"03.txt": b"exit", "05.txt": b"bad", "09.txt": b"hang"}
    files |= {
        "20.txt": b"segfault",
        "21.txt": b"killed",
        "22.txt": b"memory",
        "23.txt": b"sys.exit",
    }
    world.submit(files)

    job = run(world, HOOKS, tmp_path)

    assert (job.status, job.succeeded, job.failed) == ("CompletedWithErrors", 9, 7)
    rows = csv_rows(world.ports, job)
    assert [row[1] for row in rows if not row[2]] == ["fine"] * 9
    errors = {row[0]: row[2] for row in rows if row[2]}
    assert errors["03.txt"].startswith("hook_crashed: ")
    assert errors["05.txt"].startswith("hook_failed: ")
    assert "did not answer in time" in errors["09.txt"]
    assert errors["20.txt"].startswith("hook_crashed: ")
    assert errors["21.txt"].startswith("hook_crashed: ")
    assert "MemoryError" in errors["22.txt"]
    assert "SystemExit" in errors["23.txt"]
    check_job(world.ports, job, list(files))


def test_hooks_that_do_not_import_end_the_job_with_their_lines(
    world: World, tmp_path: Path
) -> None:
    world.submit({"a": b"x"})

    job = run(world, "import no_such_module\n", tmp_path)

    assert job.status == "Failed"
    assert job.failure is not None
    assert "import no_such_module" in job.failure.trace
