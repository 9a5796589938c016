"""A batch of JPEGs beside the loops that people write, and tiny records: side by side in one run.

    python -m bench.batches [--files 2000] [--rounds 3] [--loops limit naive torch ray]

The loops are those of bench/batch_loops.py. `torch` and `ray` run in environments of their own
under bench/.cache, made when they are missing. Every loop must find the same classes. hookline's
time is that of a job from its submission to its CSV; the start is a job of two files, and the rate
without it is what more files would come at.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import machine, networks, workloads
from bench.cloud import Cloud, up
from bench.report import publish
from hookline.adapters.embedded import wiring
from tests.fakes import FakeClock, FakeFleet
from tests.unit.batch.world import World

CACHE = Path(__file__).parent / ".cache"
LOOPS = ("limit", "naive", "torch", "ray")
NEEDS = {
    "torch": ("torch==2.13.0",),
    "ray": ("ray[data]",),
}
SHARED = ("onnxruntime", "pillow", "numpy")
ABOUT = {
    "limit": "in-process limit: a thread per core",
    "naive": "a naive loop",
    "torch": "torch DataLoader, then onnxruntime",
    "ray": "Ray Data, an actor per core",
}
CAUTION = """Only ratios within a round mean anything: the cores may be shared. The start is that
of a job just before; where it was slower than the start of the job itself, the rate without it is
too high."""
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Timing:
    """Files, and the seconds they took; `start_s` is what of it any number of files takes."""

    files: int
    seconds: float
    start_s: float = 0.0

    @property
    def per_s(self) -> float:
        return self.files / self.seconds

    @property
    def more_per_s(self) -> float:
        return self.files / max(self.seconds - self.start_s, 1e-9)


class LoopFailed(Exception):
    """A loop did not come to its end."""


def python_of(loop: str) -> str:
    """The interpreter of a loop's environment, which is made if it is not there."""
    if loop not in NEEDS:
        return sys.executable
    python = CACHE / loop / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", str(CACHE / loop)], check=True)
        install = [uv, "pip", "install", "-q", "--system-certs", "--python", str(python)]
        subprocess.run([*install, *NEEDS[loop], *SHARED], check=True)
    return str(python)


def loop(name: str, model: Path, folder: Path) -> tuple[Timing, int]:
    """How long a loop took, and the sum of the classes it found."""
    script = str(Path(__file__).with_name("batch_loops.py"))
    command = [python_of(name), script, name, str(model), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoopFailed(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    said = json.loads(done.stdout.splitlines()[-1])
    return Timing(said["files"], said["seconds"]), said["sum"]


def job(cloud: Cloud, model_id: str, folder: Path, *options: str) -> tuple[float, list[str]]:
    """Seconds of a job over a folder, and the second column of its CSV."""
    volume = cloud.ask("volume", "link", str(folder))
    asked = ("batch", "predict", model_id, str(volume["id"]), *options)
    began = time.perf_counter()
    done = cloud.ask(*asked, "--wait", "--timeout", "3600")
    seconds = time.perf_counter() - began
    results = Path(cloud.environ["HOME"]) / "results.csv"
    cloud.run("batch", "results", str(done["id"]), "-O", str(results))
    with results.open(newline="", encoding="utf-8") as file:
        return seconds, [line[1] for line in csv.reader(file)]


def batch(cloud: Cloud, model_id: str, folder: Path, two: Path) -> tuple[Timing, int]:
    """As `loop`, by a job."""
    options = ("--formatter", "classification", "--formatter-args", '{"index": true}')
    start_s, _ = job(cloud, model_id, two, *options)
    seconds, outputs = job(cloud, model_id, folder, *options)
    classes = [json.loads(output)["predictions"][0]["index"] for output in outputs]
    return Timing(len(classes), seconds, start_s), sum(classes)


def jpegs(folder: Path, count: int) -> Path:
    """Different files of the same work: bytes behind the end of a JPEG are not looked at."""
    body = workloads.photograph()
    folder.mkdir()
    for index in range(count):
        (folder / f"{index:06}.jpg").write_bytes(body + f"{index}".encode())
    return folder


def photographs(options: argparse.Namespace) -> list[str]:
    """The section of the report about JPEGs."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        model = home / "model.onnx"
        model.write_bytes(networks.convolutions().SerializeToString())
        folder, two = jpegs(home / "files", options.files), jpegs(home / "two", 2)
        loops, absent = [], []
        for name in options.loops:  # environments, caches of the disk
            try:
                loop(name, model, two)
                loops.append(name)
            except LoopFailed as failed:
                absent.append(f"Not measured, {failed}")
        timings: dict[str, list[Timing]] = {}
        with up(home) as cloud:
            model_id = str(cloud.ask("model", "import", str(model), "--name", "bench")["id"])
            for _ in range(options.rounds):
                sums = {}
                for name in loops:
                    timing, sums[name] = loop(name, model, folder)
                    timings.setdefault(name, []).append(timing)
                    print(f"{name}: {timing.per_s:.1f}", file=sys.stderr)
                timing, sums["hookline"] = batch(cloud, model_id, folder, two)
                timings.setdefault("hookline", []).append(timing)
                print(f"hookline: {timing.per_s:.1f} {timing.more_per_s:.1f}", file=sys.stderr)
                if len(set(sums.values())) != 1:
                    raise SystemExit(f"They do not find the same classes: {sums}")
    ours = timings.pop("hookline")
    start_s = statistics.median(timing.start_s for timing in ours)
    rest = spread([timing.more_per_s for timing in ours])
    return [
        f"## {options.files} JPEGs of 500 × 400, MobileNetV2's layers",
        "",
        "| | files/s | a job is × as fast | without its start |",
        "|---|---|---|---|",
        *(compared(ABOUT[name], theirs, ours) for name, theirs in timings.items()),
        f"| hookline: a job | {spread([t.per_s for t in ours])} | | |",
        f"| hookline, without its start of {start_s:.1f} s | {rest} | | |",
        "",
        *absent,
        "",
    ]


def compared(name: str, theirs: list[Timing], ours: list[Timing]) -> str:
    whole = [mine.per_s / other.per_s for mine, other in zip(ours, theirs, strict=True)]
    more = [mine.more_per_s / other.per_s for mine, other in zip(ours, theirs, strict=True)]
    rate = spread([timing.per_s for timing in theirs])
    return f"| {name} | {rate} | {spread(whole, 2)} | {spread(more, 2)} |"


def spread(values: list[float], digits: int = 1) -> str:
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({least:,.{digits}f}-{most:,.{digits}f})"


def records(options: argparse.Namespace) -> list[str]:
    """The section about tiny inputs: lines of one file, and as many small files."""
    body = workloads.all_of_them()["w1"].body
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        model = home / "model.onnx"
        model.write_bytes(networks.tiny().SerializeToString())
        lines, files, two = home / "lines", home / "files", home / "two"
        for folder, count in ((files, options.records), (two, 2)):
            folder.mkdir()
            for index in range(count):
                (folder / f"{index:06}.json").write_bytes(body)
        lines.mkdir()
        (lines / "all.jsonl").write_bytes((body + b"\n") * options.records)
        rates: dict[str, list[float]] = {}
        with up(home) as cloud:
            model_id = str(cloud.ask("model", "import", str(model), "--name", "tiny")["id"])
            for _ in range(options.rounds):
                start_s, _ = job(cloud, model_id, two)
                for name, folder, more in (
                    ("lines of one file", lines, ("--split", "lines")),
                    ("small files", files, ()),
                ):
                    seconds, rows = job(cloud, model_id, folder, *more)
                    if len(rows) != options.records:
                        raise SystemExit(f"{len(rows)} rows for {options.records} records")
                    rates.setdefault(name, []).append(options.records / (seconds - start_s))
    return [
        f"## {options.records:,} tiny inputs, 64 numbers each",
        "",
        "| | rows/s, without the start of a job |",
        "|---|---|",
        *(f"| {name} | {spread(values, 0)} |" for name, values in rates.items()),
        "",
    ]


class Counting:
    """A port that counts the calls of its methods."""

    def __init__(self, name: str, port: Any, calls: Counter[str]) -> None:
        self._name, self._port, self._calls = name, port, calls

    def __getattr__(self, method: str) -> Any:
        self._calls[f"{self._name}.{method}"] += 1
        return getattr(self._port, method)


def calls(files: int = 1000) -> list[str]:
    """The section about calls: what AWS would bill."""
    counted: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as home:
        clock = FakeClock()
        ports = wiring.ports(Path(home), fleet=FakeFleet(clock), clock=clock)
        World(ports, clock).volume({f"{n:06}": b"x" for n in range(files)})
        names = ("catalog", "blobs", "queue")
        wrapped = {name: Counting(name, getattr(ports, name), counted) for name in names}
        world = World(replace(ports, **wrapped), clock)
        world.model()
        counted.clear()
        world.submit()
        world.settle()
    inputs = (
        f"{counted.pop('blobs.open'):,} blobs.open and {counted.pop('blobs.stat'):,} blobs.stat"
    )
    return [
        f"## Calls for {files:,} files",
        "",
        f"{inputs}, one of each a file; beside them {sum(counted.values()):,}: "
        + ", ".join(f"{count} {name}" for name, count in counted.most_common())
        + ".",
        "",
    ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loops", nargs="+", default=LOOPS, choices=LOOPS)
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "batches.md")
    options = parser.parse_args(arguments)
    lines = [
        "# Batches beside loops",
        "",
        machine.describe(),
        "",
        f"{options.rounds} interleaved rounds on {CORES} cores; medians (ranges). {CAUTION}",
        "",
        *photographs(options),
        *records(options),
        *calls(),
    ]
    publish(options.out, lines)


if __name__ == "__main__":
    main()
