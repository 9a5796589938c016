"""W1, W2 and W3 through `hookline serve`, as ratios to limits that run in the same minute.

    python -m bench.predict [--workloads w1 w2 w3] [--connections 1 8 32 128] [--rounds 5]

Each round measures, one after the other: the work alone in threads of this process (decode, run,
encode), the least an HTTP server in Python can do (bench/echo_server.py), and `hookline serve` on
one process with auth on. The generator shares the cores with the servers, so only ratios mean
anything; where it is itself at its end, it flatters the slower one, and CPU per request tells more.
Other servers have a run of their own: bench/peers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import onnxruntime

from bench import machine, plot
from bench.load import Load, drive, post
from bench.report import publish
from bench.servers import Server, free_port, serve, started, wait_until_listening
from bench.workloads import Workload, all_of_them

LIMIT, OURS = "echo", "hookline serve"
ABOUT = """The generator is bench/load.py, in one thread on the same cores. `echo` is httptools on a
bare Protocol, the model inline. CPU is the server's, per request. Little is requests/s × mean
latency / connections: below 0.95 the generator or a connection stood still."""
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Cell:
    """One server under one number of connections, in one round."""

    load: Load
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Found:
    """What the rounds of one workload gave; `cells` by server and number of connections."""

    bare: list[float]
    cells: dict[tuple[str, int], list[Cell]]
    memory: dict[str, int]
    started_s: float


def session(model: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def alone(workload: Workload, model: Path, seconds: float) -> float:
    """Items a second of the work alone, in one thread per core."""
    engine, counts = session(model), [0] * CORES
    ends_at = time.perf_counter() + seconds

    def work(place: int) -> None:
        while time.perf_counter() < ends_at:
            (outputs,) = engine.run(None, {"x": workload.decode(workload.body)})
            workload.encode(outputs[0])
            counts[place] += 1

    threads = [threading.Thread(target=work, args=(place,)) for place in range(CORES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


@contextmanager
def echo(name: str, model: Path) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "bench.echo_server", name, str(model), str(port)]
    with started(command) as process:
        wait_until_listening(port, process)
        yield Server(process.pid, port)


def first_answer(workload: Workload, server: Server, model: Path) -> None:
    """The server gives the model's own numbers, or there is nothing to time."""
    (outputs,) = session(model).run(None, {"x": workload.decode(workload.body)})
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/predict",
        data=workload.body,
        headers={
            "Content-Type": workload.content_type,
            "Authorization": f"Bearer {server.token}",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        if not workload.is_right(answer.read(), outputs[0]):
            raise SystemExit(f"{server}: a wrong answer")


def measure(workload: Workload, server: Server, connections: int, seconds: float) -> Cell:
    request = post("/predict", workload.body, workload.content_type, server.token)
    drive(server.port, request, connections, seconds / 4)  # warm up
    before = machine.cost(server.pid).cpu_s
    load = drive(server.port, request, connections, seconds)
    used_s = machine.cost(server.pid).cpu_s - before
    if load.errors or not load.requests:
        raise SystemExit(f"not a fair run: {load.errors} errors in {load.requests} requests")
    return Cell(load, 1e6 * used_s / load.requests)


def spread(values: list[float], digits: int = 0) -> str:
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({least:,.{digits}f}-{most:,.{digits}f})"


def row(name: str, cells: list[Cell], limits: list[Cell]) -> str:
    ratios = [one.load.per_s / limit.load.per_s for one, limit in zip(cells, limits, strict=True)]
    p50, p99 = (
        statistics.median(cell.load.percentile_ms(percent) for cell in cells)
        for percent in (50, 99)
    )
    return (
        f"| {cells[0].load.connections} | {name} | {spread([c.load.per_s for c in cells])} "
        f"| {p50:.2f} / {p99:.2f} | {statistics.median(c.cpu_us for c in cells):,.0f} "
        f"| {min(cell.load.little for cell in cells):.2f} | {spread(ratios, 2)} |"
    )


def found(workload: Workload, options: argparse.Namespace) -> Found:
    """Start both servers and measure them, and the work alone, in turns."""
    seconds = options.seconds or workload.seconds
    bare: list[float] = []
    cells: dict[tuple[str, int], list[Cell]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        model = Path(folder) / "model.onnx"
        model.write_bytes(workload.build().SerializeToString())
        began = time.perf_counter()
        hookline = stack.enter_context(serve(model, Path(folder), *workload.flags))
        first_answer(workload, hookline, model)
        started_s = time.perf_counter() - began
        servers = {LIMIT: stack.enter_context(echo(options.name, model)), OURS: hookline}
        first_answer(workload, servers[LIMIT], model)
        for _ in range(options.rounds):
            bare.append(alone(workload, model, seconds))
            for connections, (name, server) in product(options.connections, servers.items()):
                cell = measure(workload, server, connections, seconds)
                cells.setdefault((name, connections), []).append(cell)
                rate = f"{cell.load.per_s:,.0f}"
                print(f"{options.name} {name} {connections}: {rate}", file=sys.stderr)
        memory = {name: machine.cost(server.pid).pss_bytes for name, server in servers.items()}
    return Found(bare, cells, memory, started_s)


def draw(picture: Path, workload: Workload, seen: Found, connections: list[int]) -> None:
    """The median throughputs of both servers as bars."""
    medians = {
        name: [statistics.median(c.load.per_s for c in seen.cells[name, n]) for n in connections]
        for name in seen.memory
    }
    groups = [f"{count} connections" for count in connections]
    picture.write_text(plot.bars(f"{workload.name}: requests/s", groups, medians), encoding="utf-8")


def run(workload: Workload, options: argparse.Namespace) -> list[str]:
    """The section of one workload in the report."""
    seen = found(workload, options)
    picture = options.out.with_name(f"{options.out.stem}_{options.name}.svg")
    draw(picture, workload, seen, options.connections)
    busiest = max(options.connections)
    of_bare = [
        cell.load.per_s / per_s
        for cell, per_s in zip(seen.cells[OURS, busiest], seen.bare, strict=True)
    ]
    return [
        f"## {workload.name}",
        "",
        f"The work alone, {CORES} threads: {spread(seen.bare)}/s. `{OURS}` reaches "
        f"{spread(of_bare, 2)} of it at {busiest} connections. Started → first prediction: "
        f"{seen.started_s:.2f} s. PSS: "
        + ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in seen.memory.items())
        + ".",
        "",
        "| connections | server | requests/s | p50 / p99 ms | CPU µs | Little | of echo |",
        "|---|---|---|---|---|---|---|",
        *(
            row(name, seen.cells[name, connections], seen.cells[LIMIT, connections])
            for connections in options.connections
            for name in seen.memory
        ),
        "",
        f"![requests/s]({picture.name})",
        "",
    ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", default=["w1", "w2", "w3"])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.0, help="0: as each workload wants")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "predict.md")
    options = parser.parse_args(arguments)
    known = all_of_them()
    lines = [
        "# Predictions through `hookline serve`",
        "",
        machine.describe(),
        "",
        f"{options.rounds} interleaved rounds; medians (ranges). {ABOUT}",
        "",
    ]
    for name in options.workloads:
        options.name = name
        lines += run(known[name], options)
    publish(options.out, lines)


if __name__ == "__main__":
    main()
