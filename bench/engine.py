"""onnxruntime's options, one caller: `python -m bench.engine [--rounds 25]`.

CPU and wall time of a run, best of all rounds, since what disturbs a run only makes it longer; and
what a cache of optimised graphs would save of a load.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from bench import machine, networks
from bench.report import publish
from bench.workloads import all_of_them

OPTIONS = {
    "1 thread": {},
    "2 threads": {"threads": 2},
    "2 threads, spinning": {"threads": 2, "spins": True},
    "1 thread, arena": {"has_arena": True},
    "1 thread, no memory pattern": {"has_pattern": False},
}
RUNS = {"w1": 200, "w2": 4, "w3": 4}
LOADS = 9
ALL, NONE = (
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
)


def options(
    *,
    threads: int = 1,
    spins: bool = False,
    has_arena: bool = False,
    has_pattern: bool = True,
    level: Any = ALL,
    saved_as: str = "",
) -> onnxruntime.SessionOptions:
    found = onnxruntime.SessionOptions()
    found.intra_op_num_threads, found.inter_op_num_threads = threads, 1
    found.enable_cpu_mem_arena, found.enable_mem_pattern = has_arena, has_pattern
    found.graph_optimization_level = level
    found.log_severity_level = 4
    found.add_session_config_entry("session.intra_op.allow_spinning", "01"[spins])
    if saved_as:
        found.optimized_model_filepath = saved_as
    return found


def session(path: Path, **given: Any) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        str(path), options(**given), providers=["CPUExecutionProvider"]
    )


def best_ms(clock: Callable[[], float], work: Callable[[], object], times: int) -> float:
    began_s = clock()
    for _ in range(times):
        work()
    return 1000 * (clock() - began_s) / times


def runs(name: str, path: Path, feed: np.ndarray[Any, Any], rounds: int) -> list[str]:
    sessions = {title: session(path, **given) for title, given in OPTIONS.items()}
    cpu, wall = dict.fromkeys(sessions, 1e9), dict.fromkeys(sessions, 1e9)
    for _ in range(rounds):
        for title, engine in sessions.items():

            def work(engine: onnxruntime.InferenceSession = engine) -> None:
                engine.run(None, {"x": feed})

            cpu[title] = min(cpu[title], best_ms(time.process_time, work, RUNS[name]))
            wall[title] = min(wall[title], best_ms(time.perf_counter, work, RUNS[name]))
    return [f"| {name} | {title} | {cpu[title]:.3f} | {wall[title]:.3f} |" for title in sessions]


def loads(name: str, path: Path) -> str:
    cached = path.with_suffix(".optimised.onnx")
    session(path, saved_as=str(cached))
    usual, from_cache = (
        min(best_ms(time.thread_time, work, 1) for _ in range(LOADS))
        for work in (lambda: session(path), lambda: session(cached, level=NONE))
    )
    return f"| {name} | {usual:.1f} | {from_cache:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "engine.md")
    given = parser.parse_args()
    ran, loaded = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, workload in all_of_them().items():
            path = Path(folder) / f"{name}.onnx"
            path.write_bytes(workload.build().SerializeToString())
            ran += runs(name, path, workload.decode(workload.body), given.rounds)
            loaded.append(loads(name, path))
    lines = [
        "# onnxruntime's options",
        "",
        machine.describe(),
        "",
        f"{given.rounds} interleaved rounds, one caller, best of all, ms per run. w1 is the tiny",
        f"network, w2 the MobileNetV2-shaped, w3 the MiniLM-shaped with {networks.TOKENS} tokens.",
        "",
        "| network | options | CPU ms | wall ms |",
        "|---|---|---|---|",
        *ran,
        "",
        f"CPU ms of a load, best of {LOADS}: as is, and of the graph as onnxruntime optimised it.",
        "",
        "| network | as is | optimised before |",
        "|---|---|---|",
        *loaded,
    ]
    publish(given.out, lines)


if __name__ == "__main__":
    main()
