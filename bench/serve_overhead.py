"""W1: what `hookline serve` adds to bare onnxruntime, as ratios of one interleaved run.

    python -m bench.serve_overhead [--rounds 5] [--seconds 2]

A 64→32→10 network, a JSON array of 64 numbers in, 10 numbers out. Each round measures, in this
order: the work itself in a loop in this process (decode, run, encode), the least an HTTP server can
do (bench/echo_server.py), and `hookline serve` on one process with auth on. The generator shares
the cores with the server, so only ratios mean anything.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from bench import machine
from bench.load import Load, drive, post
from bench.servers import Server, free_port, serve, started, wait_until_listening

CONNECTIONS = (1, 8, 32)
WIDTHS = (64, 32, 10)


@dataclass(frozen=True, slots=True)
class Cell:
    """One server under one number of connections, in one round."""

    load: Load
    cpu_us: float


def tiny_network() -> onnx.ModelProto:
    """x: float32 [batch, 64] to y: [batch, 10]; random weights, since only its overhead counts."""
    random = np.random.default_rng(0)
    initializers, nodes, last = [], [], "x"
    for layer, (rows, columns) in enumerate(pairwise(WIDTHS)):
        weight = random.standard_normal((rows, columns), np.float32) / np.float32(rows**0.5)
        initializers.append(numpy_helper.from_array(weight, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [f"h{layer}"]))
        last = f"h{layer}"
        if layer == 0:
            nodes.append(helper.make_node("Relu", [last], ["relu"]))
            last = "relu"
    nodes.append(helper.make_node("Softmax", [last], ["y"], axis=-1))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTHS[0]])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", WIDTHS[-1]])
    graph = helper.make_graph(nodes, "tiny", [x], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def bare(model: Path, body: bytes, seconds: float) -> float:
    """Requests a second of the work alone: JSON in, model, JSON out, in one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        numbers = np.array(msgspec.json.decode(body), np.float32)[np.newaxis]
        (outputs,) = session.run(None, {"x": numbers})
        msgspec.json.encode({"outputs": outputs[0].tolist(), "shape": [10]})
        count += 1
    return count / (time.perf_counter() - began)


@contextmanager
def echo(model: Path) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "bench.echo_server", str(model), str(port)]
    with started(command) as process:
        wait_until_listening(port, process)
        yield Server(process.pid, port)


def check(server: Server, model: Path, body: bytes) -> None:
    """The server gives the model's own numbers, or there is nothing to time."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": np.array([json.loads(body)], np.float32)})
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/predict",
        data=body,
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {server.token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        outputs = json.load(answer)["outputs"]
    np.testing.assert_allclose(np.ravel(outputs), expected[0], rtol=1e-5)


def measure(server: Server, body: bytes, connections: int, seconds: float) -> Cell:
    request = post("/predict", body, "application/json", server.token)
    drive(server.port, request, connections, seconds / 4)  # warm up
    before = machine.cost(server.pid).cpu_s
    load = drive(server.port, request, connections, seconds)
    used_s = machine.cost(server.pid).cpu_s - before
    if load.errors or load.little < 0.95:
        raise SystemExit(f"not a fair run: {load.errors} errors, Little's law {load.little:.2f}")
    return Cell(load, 1e6 * used_s / load.requests)


def row(name: str, cells: list[Cell], limits: list[Cell]) -> str:
    rates = [cell.load.per_s for cell in cells]
    ratios = [one.load.per_s / limit.load.per_s for one, limit in zip(cells, limits, strict=True)]
    middle = sorted(cells, key=lambda cell: cell.load.per_s)[len(cells) // 2]
    return (
        f"| {name} | {middle.load.connections} | {statistics.median(rates):,.0f} "
        f"({min(rates):,.0f}-{max(rates):,.0f}) | {middle.load.percentile_ms(50):.2f} / "
        f"{middle.load.percentile_ms(99):.2f} | {statistics.median(c.cpu_us for c in cells):.0f} | "
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "serve_overhead.md")
    options = parser.parse_args()
    body = json.dumps(np.random.default_rng(1).random(64).round(4).tolist()).encode()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        model = Path(folder) / "tiny.onnx"
        model.write_bytes(tiny_network().SerializeToString())
        servers = {
            "echo": stack.enter_context(echo(model)),
            "hookline serve": stack.enter_context(serve(model, Path(folder))),
        }
        for server in servers.values():
            check(server, model, body)
        alone, cells = rounds(servers, model, body, options)
        memory = {name: machine.cost(server.pid).pss_bytes for name, server in servers.items()}
    report(alone, cells, memory, options)


def rounds(
    servers: dict[str, Server], model: Path, body: bytes, options: argparse.Namespace
) -> tuple[list[float], dict[tuple[str, int], list[Cell]]]:
    """Every server under every load once a round, so that a slow minute slows all alike."""
    alone: list[float] = []
    cells: dict[tuple[str, int], list[Cell]] = {}
    for _ in range(options.rounds):
        alone.append(bare(model, body, options.seconds))
        for connections in CONNECTIONS:
            for name, server in servers.items():
                cell = measure(server, body, connections, options.seconds)
                cells.setdefault((name, connections), []).append(cell)
                print(f"{name}, {connections}: {cell.load.per_s:,.0f}/s", file=sys.stderr)
    return alone, cells


def report(
    alone: list[float],
    cells: dict[tuple[str, int], list[Cell]],
    memory: dict[str, int],
    options: argparse.Namespace,
) -> None:
    overhead = [
        cell.cpu_us - 1e6 / bare_per_s
        for cell, bare_per_s in zip(cells["hookline serve", 32], alone, strict=True)
    ]
    lines = [
        "# W1: `hookline serve` against bare onnxruntime",
        "",
        machine.describe(),
        "",
        f"{options.rounds} interleaved rounds of {options.seconds:g} s; medians (ranges).",
        "",
        (
            f"The work alone, in a loop: {statistics.median(alone):,.0f}/s ({min(alone):,.0f}-"
            f"{max(alone):,.0f}), {1e6 / statistics.median(alone):.1f} µs. `hookline serve` adds "
            f"{statistics.median(overhead):.0f} µs of CPU to each request at 32 connections."
        ),
        "",
        "| server | connections | requests/s | p50 / p99 ms | CPU µs per request | ratio to echo |",
        "|---|---|---|---|---|---|",
        *(
            row(name, cells[name, connections], cells["echo", connections])
            for connections in CONNECTIONS
            for name in memory
        ),
        "",
        "Memory (PSS): "
        + ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in memory.items())
        + ".",
    ]
    text = "\n".join(lines) + "\n"
    options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
