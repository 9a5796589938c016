"""How long a user waits before anything happens: `python -m bench.startup [--rounds 7]`.

`hookline --help` and `--version`, `hookline up` until it answers, a deployment of the digits model
until it is Running, and `hookline serve` until its first answer; beside a Python that does nothing.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from bench import machine
from bench.cloud import up
from bench.machine import COMMAND, ROOT
from bench.report import publish
from bench.servers import serve

MODEL = ROOT / "examples" / "digits" / "digits.onnx"
IMAGE = ROOT / "examples" / "digits" / "images" / "000.png"
TARGETS_MS = {
    "hookline --help": 150,
    "hookline --version": 80,
    "hookline up, ready": 2000,
    "model deploy --wait, Running": 3000,
    "hookline serve, first answer": 600,
}


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def command(*arguments: str) -> float:
    def work() -> None:
        subprocess.run(arguments, stdout=subprocess.DEVNULL, check=True, timeout=60)

    return seconds_of(work)


def up_and_deploy(folder: Path) -> tuple[float, float]:
    """Seconds until `hookline up` answers, and until a deployment is Running."""
    began = time.perf_counter()
    with up(folder) as cloud:
        ready_s = time.perf_counter() - began
        model = cloud.ask("model", "import", str(MODEL), "--name", "digits")
        deploy_s = seconds_of(lambda: cloud.run("model", "deploy", str(model["id"]), "--wait"))
    return ready_s, deploy_s


def first_answer(folder: Path) -> float:
    """Seconds from the start of `hookline serve` to its first prediction."""
    began = time.perf_counter()
    with serve(MODEL, folder) as server:
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.port}/predict",
            data=IMAGE.read_bytes(),
            headers={"Content-Type": "image/png", "Authorization": f"Bearer {server.token}"},
        )
        urllib.request.urlopen(request, timeout=10).close()
        return time.perf_counter() - began


def one_round() -> dict[str, float]:
    """Every measurement once, in seconds."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        ready_s, deploy_s = up_and_deploy(Path(one))
        return {
            "python -c pass": command(sys.executable, "-c", "pass"),
            "hookline --help": command(COMMAND, "--help"),
            "hookline --version": command(COMMAND, "--version"),
            "hookline up, ready": ready_s,
            "model deploy --wait, Running": deploy_s,
            "hookline serve, first answer": first_answer(Path(other)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "startup.md")
    options = parser.parse_args()
    one_round()  # fills the page cache and the byte code
    rounds = [one_round() for _ in range(options.rounds)]
    lines = [
        "# Start-up",
        "",
        machine.describe(),
        "",
        f"{options.rounds} rounds after one that warms the disk cache; median (range) in ms.",
        "",
        "| what | ms | target |",
        "|---|---|---|",
    ]
    for name in rounds[0]:
        times = [1000 * each[name] for each in rounds]
        target = f"≤ {TARGETS_MS[name]}" if name in TARGETS_MS else ""
        lines.append(
            f"| {name} | {statistics.median(times):.0f} ({min(times):.0f}-{max(times):.0f}) "
            f"| {target} |"
        )
    publish(options.out, lines)


if __name__ == "__main__":
    main()
