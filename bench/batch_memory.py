"""A batch must stream: the memory of a cloud and its workers, of many files and of large rows.

    python -m bench.batch_memory [--files 10000 200000] [--large 10000] [--row-bytes 1000000]

Each size runs in a fresh cloud on a linked folder of small PNGs; memory is sampled while it runs,
and the CSV must hold one row per file. The large rows are those of a hook that answers that much.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.cloud import Cloud, up
from bench.machine import ROOT, Cost, cost
from bench.report import publish

DIGITS = ROOT / "examples" / "digits"
SAMPLE_S = 0.1
WAIT = ("--wait", "--timeout", "3600")


@dataclass(frozen=True, slots=True)
class Run:
    """One job: how many files, how long, and the most memory and processes seen meanwhile."""

    files: int
    row_bytes: int  # of a hook; 0 for the model's own answer
    results_bytes: int
    seconds: float
    before: Cost
    peak_rss_bytes: int
    peak_pss_bytes: int
    processes: int


class Sampler(threading.Thread):
    """Watches the cost of a process tree until told to stop."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.samples: list[Cost] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(SAMPLE_S):
            self.samples.append(cost(self.pid))


def make_files(folder: Path, count: int) -> Path:
    """`count` PNGs: the held-out digits, each under many names, so that a million take no room."""
    shutil.copytree(DIGITS / "images", folder.with_name("images"))
    images = sorted(folder.with_name("images").iterdir())
    folder.mkdir()
    for index in range(count):
        (folder / f"{index:07}.png").hardlink_to(images[index % len(images)])
    return folder


def hooks(folder: Path, row_bytes: int) -> tuple[str, ...]:
    """The options of a job whose every row has that many bytes."""
    if not row_bytes:
        return ()
    path = folder / "inference.py"
    path.write_text(f"def postprocess(output, input):\n    return 'x' * {row_bytes}\n")
    return ("--extra-files", str(path))


def predict(cloud: Cloud, files: Path, count: int, row_bytes: int) -> Run:
    model = cloud.ask("model", "import", str(DIGITS / "digits.onnx"), "--name", "digits")
    volume = cloud.ask("volume", "link", str(files))
    before = cost(cloud.pid)
    sampler = Sampler(cloud.pid)
    sampler.start()
    began = time.perf_counter()
    options = hooks(files.parent, row_bytes)
    job = cloud.ask("batch", "predict", str(model["id"]), str(volume["id"]), *options, *WAIT)
    seconds = time.perf_counter() - began
    sampler.stopped.set()
    sampler.join()
    results = files.parent / "results.csv"
    cloud.run("batch", "results", str(job["id"]), "-O", str(results))
    with results.open(newline="", encoding="utf-8") as file:
        names = [line[0] for line in csv.reader(file)]
    wanted = [path.name for path in sorted(files.iterdir())]
    if [name for name in names if name.endswith(".png")] != wanted:
        raise SystemExit(f"{len(names)} rows for {count} files")
    return Run(
        count,
        row_bytes,
        results.stat().st_size,
        seconds,
        before,
        max(sample.rss_bytes for sample in sampler.samples),
        max(sample.pss_bytes for sample in sampler.samples),
        max(sample.processes for sample in sampler.samples),
    )


def run(count: int, row_bytes: int = 0) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        files = make_files(Path(folder) / "files", count)
        with up(Path(folder)) as cloud:
            return predict(cloud, files, count, row_bytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--large", type=int, default=10_000, help="files with large rows")
    parser.add_argument("--row-bytes", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "batch_memory.md")
    options = parser.parse_args()
    csv.field_size_limit(2 * options.row_bytes)
    runs = [run(count) for count in options.files]
    first, last = runs[0], runs[-1]
    runs.append(run(options.large, options.row_bytes))
    lines = [
        "# Memory of a batch",
        "",
        machine.describe(),
        "",
        (
            "The digits model on a linked folder of 32×32 PNGs; the host and all that it started, "
            f"sampled every {1000 * SAMPLE_S:.0f} ms."
        ),
        "",
        "| files | results | seconds | files/s | PSS before | peak PSS | peak RSS | processes |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {one.files:,} | {one.results_bytes / 1e6:,.0f} MB "
            f"| {one.seconds:.1f} | {one.files / one.seconds:,.0f} "
            f"| {one.before.pss_bytes / 1e6:.0f} MB | {one.peak_pss_bytes / 1e6:.0f} MB "
            f"| {one.peak_rss_bytes / 1e6:.0f} MB | {one.processes} |"
            for one in runs
        ),
        "",
        (
            f"{last.files / first.files:.0f} × the files take "
            f"{last.peak_pss_bytes / first.peak_pss_bytes:.2f} × the memory (peak PSS)."
        ),
    ]
    publish(options.out, lines)


if __name__ == "__main__":
    main()
