"""hookline, its limits and its peers, interleaved in one run: `python -m bench.peers`.

    python -m bench.peers [--workloads w1 w2 w3 w4] [--connections 1 8 32 128] [--rounds 3]

Each server is started and must give the right answer; then all are up, and every round measures
each at every number of connections with one and the same generator. Ratios are those of each
round, to `hookline serve`. A row with errors or with requests that hung is marked, not hidden.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine, plot
from bench.load import Load, drive
from bench.peers import contenders
from bench.peers.contenders import Running
from bench.peers.definitions import PEERS
from bench.peers.environments import COMMON, Missing, environment, version
from bench.predict import CORES, alone, spread
from bench.report import publish
from bench.workloads import Workload, all_of_them

OURS = contenders.REPLICA
LEAST_LITTLE = 0.95
SECONDS = {"w1": 1.0, "w2": 2.0, "w3": 2.0, "w4": 4.0}
MOST = {"w4": 8}  # connections: more would only wait in line


@dataclass(frozen=True, slots=True)
class Cell:
    """One server under one number of connections, in one round."""

    load: Load
    cpu_us: float


@dataclass(slots=True)
class Row:
    """What all rounds saw of one server."""

    first_s: float
    cells: dict[int, list[Cell]] = field(default_factory=dict)
    pss_bytes: int = 0


def measure(running: Running, connections: int, seconds: float) -> Cell:
    drive(running.port, running.request, connections, seconds / 4)  # warm up
    before_s = machine.cost(running.pid).cpu_s
    load = drive(running.port, running.request, connections, seconds)
    used_s = machine.cost(running.pid).cpu_s - before_s
    return Cell(load, 1e6 * used_s / max(load.requests, 1))


def started(
    options: argparse.Namespace, workload: Workload, name: str, model: Path, stack: ExitStack
) -> dict[str, Running]:
    """Everything that starts and answers right; the others are noted."""
    found: dict[str, Running] = {}
    for contender in options.contenders:
        if name not in contender.workloads:
            continue
        # In /tmp, whatever TMPDIR says: some peers keep sockets there, whose paths must be short.
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp")))
        try:
            running = stack.enter_context(contender.run(workload, name, model, scratch))
        except contenders.Failed as error:
            options.failures.append(f"{contender.name} failed at {name.upper()}: {error}")
            tell(options.failures[-1])
            continue
        found[contender.name] = running
        tell(f"{name} {contender.name}: {running.first_s:.2f} s until its first answer")
    return found


def visit(running: Running, name: str, row: Row, sizes: Sequence[int]) -> None:
    """Measure it at every number of connections."""
    for connections in sizes:
        cell = measure(running, connections, SECONDS[name])
        row.cells.setdefault(connections, []).append(cell)
        row.pss_bytes = max(row.pss_bytes, machine.cost(running.pid).pss_bytes)
        tell(f"{name} {connections}: {cell.load.per_s:,.0f}/s, {cell.load.errors} errors")


def tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def line(name: str, row: Row, ours: Row, connections: int) -> str:
    cells, rivals = row.cells[connections], ours.cells[connections]
    ratios = [one.load.per_s / other.load.per_s for one, other in zip(cells, rivals, strict=True)]
    p50, p99 = (
        statistics.median(cell.load.percentile_ms(percent) for cell in cells)
        for percent in (50, 99)
    )
    errors = sum(cell.load.errors for cell in cells)
    marks = [f"{errors} errors"] if errors else []
    if min(cell.load.little for cell in cells) < LEAST_LITTLE:
        marks.append(f"Little {min(cell.load.little for cell in cells):.2f}")
    return (
        f"| {connections} | {name} | {spread([cell.load.per_s for cell in cells])} "
        f"| {p50:.2f} / {p99:.2f} | {statistics.median(cell.cpu_us for cell in cells):,.0f} "
        f"| {spread(ratios, 2)} | {', '.join(marks)} |"
    )


def section(name: str, workload: Workload, options: argparse.Namespace) -> list[str]:
    """The tables of one workload; its plot is written beside the report."""
    bare: list[float] = []
    sizes = [each for each in options.connections if each <= MOST.get(name, each)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        model = Path(folder) / "model.onnx"
        model.write_bytes(workload.build().SerializeToString())
        running = started(options, workload, name, model, stack)
        rows = {each: Row(one.first_s) for each, one in running.items()}
        for _ in range(options.rounds):
            bare.append(alone(workload, model, SECONDS[name]))
            for each, one in running.items():
                tell(each)
                visit(one, name, rows[each], sizes)
    ours = rows[OURS]
    lines = [f"## {workload.name}", "", f"Bare onnxruntime, {CORES} threads: {spread(bare)}/s.", ""]
    lines += ["| server | start → first answer, s | peak PSS, MB |", "|---|---|---|"]
    lines += [
        f"| {each} | {row.first_s:.2f} | {row.pss_bytes / 1e6:,.0f} |" for each, row in rows.items()
    ]
    lines += ["", "| connections | server | requests/s | p50 / p99 ms | CPU µs | of hookline | |"]
    lines += ["|---|---|---|---|---|---|---|"]
    lines += [
        line(each, row, ours, connections) for connections in sizes for each, row in rows.items()
    ]
    picture = options.out.with_name(f"{options.out.stem}_{name}.svg")
    picture.write_text(
        plot.bars(
            f"{workload.name}: requests/s, median of {options.rounds}",
            [f"{count} connections" for count in sizes],
            {each: medians(row, sizes) for each, row in rows.items()},
        ),
        encoding="utf-8",
    )
    return [*lines, "", f"![requests/s]({picture.name})", ""]


def medians(row: Row, sizes: Sequence[int]) -> list[float]:
    return [statistics.median(cell.load.per_s for cell in row.cells[count]) for count in sizes]


def installed(options: argparse.Namespace) -> list[str]:
    """Make the environments; which peers there are, with versions, and which are not and why."""
    lines = []
    options.contenders = [contenders.echo(), *contenders.ours()]
    ours = [f"{name}=={version(Path(sys.executable).parent, name)}" for name in COMMON]
    for peer in PEERS:
        if options.peers and peer.package not in options.peers:
            continue
        try:
            folder = environment(peer.package, peer.requirements, ours)
        except Missing as missing:
            lines.append(f"- {peer.name} is not here: {missing}")
            continue
        options.contenders.append(contenders.peer(peer, folder))
        lines.append(f"- {peer.name} {version(folder, peer.package)}: {peer.settings}.")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", default=["w1", "w2", "w3", "w4"])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="+", help="packages; all unless given")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "peers.md")
    options = parser.parse_args()
    options.failures = []
    known, peers = all_of_them(), installed(options)
    load_before = os.getloadavg()[0]
    sections = [section(name, known[name], options) for name in options.workloads]
    lines = [
        "# hookline and its peers",
        "",
        machine.describe(),
        "",
        f"{options.rounds} interleaved rounds; medians (ranges). The generator is bench/load.py,",
        "on the same cores. `of hookline` is the throughput against `hookline serve` of the same",
        "round. CPU is the server's with all its processes, per request. PSS is the most seen",
        "after any run. Starts were timed once, one after the other. Little is requests/s",
        "× mean latency / connections; below 0.95 the row is not to be trusted. One setting was",
        "tried for each peer, the one that its documents recommend (bench/peers/servers cites",
        f"them). The load average was {load_before:.1f} before and {os.getloadavg()[0]:.1f} after.",
        "",
        "The peers:",
        "",
        *peers,
        "- Not here: TorchServe, whose package needs a Java runtime beside it.",
        "",
        *options.failures,
        "",
        *(each for lines_of_one in sections for each in lines_of_one),
    ]
    publish(options.out, lines)


if __name__ == "__main__":
    main()
