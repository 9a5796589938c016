"""How long each function takes to be imported: `python -m bench.import_times [--rounds 9]`.

A new process imports `functions/<name>/handler.py` with the settings of a stack, so with the AWS
adapters; beside one that imports boto3, which is what any function on AWS pays. The time of the
bare interpreter is taken off each, round by round.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from bench import machine
from bench.machine import ROOT
from hookline.core.topology import FUNCTIONS

BUDGET_MS = 400
BARE, BOTO3 = "python -c pass", "import boto3"
FLEET = {
    "HOOKLINE_CAPACITY_PROVIDERS": "{}",
    "HOOKLINE_CLUSTER": "c",
    "HOOKLINE_LOG_GROUP": "l",
    "HOOKLINE_LOG_STREAMS": "hookline/runtime",
    "HOOKLINE_SECURITY_GROUPS": "sg",
    "HOOKLINE_SUBNETS": "s",
    "HOOKLINE_TASK_DEFINITIONS": "{}",
}
SETTINGS = {"HOOKLINE_TABLE": "t", "HOOKLINE_BUCKET": "b", "HOOKLINE_QUEUES": "{}"}


def source(name: str) -> str:
    """What a process runs to import the handler of a function, as Lambda does."""
    folder = ROOT / "functions" / name
    return f"import sys; sys.path.insert(0, {str(folder)!r}); import handler"


def environment(name: str) -> dict[str, str]:
    """The settings of a function: names of nothing, since nothing is asked of AWS."""
    has_fleet = any(
        grant.port == "fleet"
        for function in FUNCTIONS
        if function.name == name
        for grant in function.grants
    )
    package = ROOT / "layers" / "hookline" / "python"
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(package),
        **SETTINGS,
        **(FLEET if has_fleet else {}),
    }


def processor_ms(code: str, environ: dict[str, str]) -> float:
    """Milliseconds of processor time that a process takes: waiting for others is not counted."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def one_round() -> dict[str, float]:
    """Every import once; the bare interpreter's time is taken off all but its own."""
    plain = environment("")
    bare = processor_ms("pass", plain)
    found = {BARE: bare, BOTO3: processor_ms("import boto3", plain) - bare}
    for function in FUNCTIONS:
        took = processor_ms(source(function.name), environment(function.name))
        found[function.name] = took - bare
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "import_times.md")
    options = parser.parse_args()
    one_round()  # fills the page cache and the byte code
    rounds = [one_round() for _ in range(options.rounds)]
    lines = [
        "# Import times of the functions",
        "",
        machine.describe(),
        "",
        f"{options.rounds} interleaved rounds after one that warms the disk cache; median (range)",
        "of the processor's time in ms, with byte code at hand. The ratio is that of each round.",
        "",
        "| what | ms | × boto3 | budget |",
        "|---|---|---|---|",
    ]
    for name in rounds[0]:
        times = [each[name] for each in rounds]
        ratios = [each[name] / each[BOTO3] for each in rounds]
        budget = "" if name in (BARE, BOTO3) else f"≤ {BUDGET_MS}"
        lines.append(
            f"| {name} | {statistics.median(times):.0f} ({min(times):.0f}-{max(times):.0f}) "
            f"| {statistics.median(ratios):.2f} | {budget} |"
        )
    text = "\n".join(lines) + "\n"
    options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
