"""Freezing the manifest of a vast volume: files a second, and memory, by the planner alone.

    python -m bench.planner [--files 200000 2000000]

The listing is made up as it is asked, in pages; the manifest, the shard records and the messages
are stored as on any machine. Each size runs in a fresh process, whose peak memory is read. What
100,000,000 files would take is the last size times the ratio: every step is per page or per shard.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import machine
from bench.report import publish
from hookline.adapters.embedded import wiring
from tests.fakes import FakeClock, FakeFleet
from tests.unit.batch.vast import VastVolume
from tests.unit.batch.world import World

TARGET = 100_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What freezing one manifest took."""

    files: int
    seconds: float
    cpu_s: float
    peak_rss_bytes: int
    grown_bytes: int
    shards: int
    stored_bytes: int


def plan(files: int, home: Path) -> Plan:
    clock = FakeClock()
    vast: Any = VastVolume(files)
    ports = wiring.ports(home, fleet=FakeFleet(clock), clock=clock)
    world = World(replace(ports, linked=lambda _: vast), clock)
    world.volume({}, link="file:///vast")
    world.model()
    world.submit()
    before = peak()
    began, cpu = time.perf_counter(), time.process_time()
    world.plan()
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    job = world.job()
    if (job.status, job.total) != ("Queued", files):
        raise SystemExit(f"{job.total} files planned of {files}: {job.failure}")
    stored = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    return Plan(files, seconds, cpu_s, peak(), peak() - before, job.shards, stored)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def apart(files: int) -> Plan:
    """In a process of its own."""
    command = [sys.executable, "-m", "bench.planner", "--one", str(files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Plan(**json.loads(done.stdout))


def row(one: Plan) -> str:
    return (
        f"| {one.files:,} | {one.shards:,} | {one.seconds:.1f} | {one.cpu_s:.1f} "
        f"| {one.files / one.seconds:,.0f} | {one.files / one.cpu_s:,.0f} "
        f"| {one.peak_rss_bytes / 1e6:.0f} MB | {one.grown_bytes / 1e6:.1f} MB "
        f"| {one.stored_bytes / one.files:.0f} |"
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[200_000, 2_000_000])
    parser.add_argument("--one", type=int, help="measure this size here, and print it as JSON")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "planner.md")
    options = parser.parse_args(arguments)
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            one = plan(options.one, Path(folder) / "home")
        print(json.dumps({name: getattr(one, name) for name in Plan.__slots__}))
        return
    plans = [apart(files) for files in options.files]
    last = plans[-1]
    times = TARGET / last.files
    lines = [
        "# Planning a vast volume",
        "",
        machine.describe(),
        "",
        "The planner alone, on a listing that is made up page by page. Grown: the most memory",
        "while it planned, beyond what it had when it began. Bytes are those stored a file.",
        "",
        "| files | shards | seconds | CPU s | files/s | files/CPU s | peak RSS | grown | bytes |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(one) for one in plans),
        "",
        (
            f"On paper, {TARGET:,} files: {last.cpu_s * times / 60:,.0f} minutes of CPU, "
            f"{last.shards * times:,.0f} shards, {last.stored_bytes * times / 1e9:.0f} GB of "
            "manifest, and no more memory than above."
        ),
    ]
    publish(options.out, lines)


if __name__ == "__main__":
    main()
