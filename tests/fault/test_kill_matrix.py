"""Real processes are killed and stopped; the results are one row per file, in order, all the same.

Every case starts a cloud of its own, runs a job with slow hooks, does its worst, and lets `verify`
and the checker look at what came out.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from hookline.adapters.embedded import wiring
from hookline.batch import shards
from hookline.batch.verify import verify
from hookline.core.ports import Ports
from hookline.core.records import Job
from hookline.core.topology import SHARDS, queue_spec
from tests.e2e.cloud import DIGITS, Cloud, running, until
from tests.fault.conftest import Count
from tests.invariants import check_job, csv_rows

TENANT = "default"
KILLS = 20
WAIT_S = 240.0
CASES = ("worker", "all workers", "engine", "host")
DEATHS = 2  # of each kind in a short job
HOOK = """
import time

def preprocess(input, model):
    time.sleep({seconds})
    return input

def predict(data, model):
    return data

def postprocess(output, raw_input):
    return output.decode()
"""


@dataclass
class Run:
    """A cloud with one job in it; the catalog is looked at from beside."""

    cloud: Cloud
    environment: dict[str, str]
    ports: Ports
    job_id: int
    names: list[str]

    def job(self) -> Job:
        job = self.ports.catalog.get(Job, TENANT, self.job_id)
        assert job is not None
        return job

    def up(self) -> None:
        self.cloud.up(**self.environment)

    def done(self) -> int:
        return sum(shard.is_done for shard in shards.of_job(self.ports.catalog, self.job()))

    def pids(self, part: str) -> list[int]:
        """The processes of this cloud whose command has this in it."""
        return [pid for pid in self.cloud.processes() if part in command_of(pid)]

    def ended(self) -> Job:
        until(lambda: self.job().has_ended, WAIT_S)
        return self.job()


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def kill(pids: list[int], how: signal.Signals = signal.SIGKILL) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, how)


Start = Callable[[int, float], Run]


@pytest.fixture
def environment() -> dict[str, str]:
    """Two workers, on queues that repeat, reorder and delay."""
    return {"HOOKLINE_WORKERS": "2", "HOOKLINE_CHAOS": "20"}


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Starts a cloud and a job of so many files, each taking so long."""
    with running(tmp_path / "home", **environment) as cloud:

        def started(files: int, seconds: float) -> Run:
            folder = tmp_path / "files"
            folder.mkdir()
            names = [f"{number:04}.txt" for number in range(files)]
            for name in names:
                (folder / name).write_text(name)
            hook = tmp_path / "inference.py"
            hook.write_text(HOOK.format(seconds=seconds))
            model = cloud.ask("model", "import", f"{DIGITS}/digits.onnx", "--name", "digits")
            volume = cloud.ask("volume", "link", str(folder))
            asked = ("batch", "predict", str(model["id"]), str(volume["id"]), "-f", str(hook))
            job_id = int(cloud.ask(*asked)["id"])
            return Run(cloud, environment, wiring.process_ports(cloud.home), job_id, names)

        yield started


def check(run: Run) -> Job:
    """One row per file; a file that was in hand at two deaths may have been given up."""
    job = run.ended()
    assert job.status in ("Completed", "CompletedWithErrors")
    check_job(run.ports, job, run.names)
    assert verify(run.ports, job).is_exact
    assert run.cloud.ask("batch", "verify", str(job.id))["problems"] == []
    for row in csv_rows(run.ports, job):
        assert row[1] == row[0] or row[2].startswith("hook_crashed")
    return job


def worst(run: Run, case: str) -> None:
    """One death: a worker, every worker, an engine, or the host with all that it started."""
    if case == "host":
        run.cloud.kill()
        run.up()
        return
    found = run.pids("runtime.engine" if case == "engine" else "local.worker")
    kill(found if case == "all workers" else found[:1])


@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_a_death_in_the_middle_costs_no_row(
    start: Start, case: str, seed: int, count: Count
) -> None:
    run = start(200, 0.03)
    chance = random.Random(seed)
    for _ in range(DEATHS):
        until(lambda: run.job().has_ended or run.pids("runtime.engine"), WAIT_S)
        time.sleep(chance.uniform(0.0, 0.5))  # somewhere in a shard
        assert not run.job().has_ended
        worst(run, case)

    job = check(run)

    assert job.failed <= DEATHS / 2
    count(f"deaths of {case}", DEATHS)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_job_that_was_killed_twenty_times_is_exact(start: Start, count: Count) -> None:
    run = start(1200, 0.05)
    chance = random.Random(20)
    for _ in range(KILLS):
        before = run.done()
        until(lambda: run.job().has_ended or run.pids("runtime.engine"), WAIT_S)
        time.sleep(chance.uniform(0.2, 0.8))  # somewhere in a shard
        assert not run.job().has_ended
        worst(run, chance.choice(CASES))
        assert run.done() >= before

    job = check(run)

    sys.stdout.write(run.cloud.run("batch", "verify", str(job.id)).stdout)
    assert job.failed <= KILLS / 2
    count("deaths in one job", KILLS)


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_a_worker_that_sleeps_past_its_lease_cannot_add_a_row(start: Start) -> None:
    run = start(300, 0.02)
    [engine, *_] = until(lambda: run.pids("engine"))
    assert engine
    [zombie, *_] = run.pids("worker")
    kill([zombie], signal.SIGSTOP)
    time.sleep(queue_spec(SHARDS).lease_s + 3)  # its lease ends, another takes the shard
    others = run.ended()
    kill([zombie], signal.SIGCONT)

    job = check(run)

    assert (job.results_sha256, job.failed) == (others.results_sha256, 0)


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_a_host_that_dies_when_the_last_row_is_there_finishes_later(start: Start) -> None:
    run = start(100, 0.01)
    until(lambda: run.job().shards and run.done() == run.job().shards, WAIT_S)
    run.cloud.kill()
    run.up()

    assert check(run).failed == 0


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_a_host_that_sleeps_past_its_leases_finishes_later(start: Start) -> None:
    run = start(100, 0.05)
    until(lambda: run.done() > 0, WAIT_S)
    hosts = [pid for pid in run.cloud.processes() if pid not in run.pids("-m hookline.")]
    kill(hosts, signal.SIGSTOP)
    time.sleep(queue_spec(SHARDS).lease_s + 3)  # whatever leases it has of shards have ended
    assert not run.job().has_ended
    kill(hosts, signal.SIGCONT)

    assert check(run).failed == 0
