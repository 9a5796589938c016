"""How long each function takes to be imported: `python -m bench.import_times [--rounds 9]`.

A new process imports `functions/<name>/handler.py` with the settings of a stack, so with the AWS
adapters; beside one that imports boto3, which is what any function on AWS pays. It does so from a
copy of the layer that has byte code, and from one that has none and cannot keep any, as /opt. It
ends without taking anything down, which Lambda does not do either. The time of the bare interpreter
is taken off each, round by round.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

from bench import machine
from bench.machine import ROOT
from bench.report import publish
from hookline.core.topology import FUNCTIONS
from stacks import bytecode

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


def layer(folder: Path, *, has_byte_code: bool) -> Path:
    """The package and its requirements, as Lambda has them in /opt/python."""
    shipped = ROOT / "layers" / "hookline"
    only_sources = shutil.ignore_patterns("__pycache__")
    shutil.copytree(shipped / "python" / "hookline", folder / "hookline", ignore=only_sources)
    locked = (shipped / "requirements.txt").read_text()
    for name in re.findall(r"^([\w.-]+)==", locked, re.MULTILINE):
        for file in distribution(name).files or ():
            if file.suffix != ".pyc" and ".." not in file.parts:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), folder / file)
    if has_byte_code:
        bytecode.compile_all(folder, sys.executable)
    return folder


def environment(name: str, package: Path) -> dict[str, str]:
    """The settings of a function: names of nothing, since nothing is asked of AWS."""
    has_fleet = any(
        grant.port == "fleet"
        for function in FUNCTIONS
        if function.name == name
        for grant in function.grants
    )
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(package),
        "PYTHONDONTWRITEBYTECODE": "1",
        **SETTINGS,
        **(FLEET if has_fleet else {}),
    }


def processor_ms(code: str, environ: dict[str, str]) -> float:
    """Milliseconds of processor time that a process takes: waiting for others is not counted."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = f"{code}; import os; os._exit(0)"
    subprocess.run([sys.executable, "-c", program], env=environ, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def one_round(compiled: Path, plain: Path) -> dict[str, tuple[float, float]]:
    """Every import once with byte code and once without, less what the bare interpreter takes."""
    nothing = environment("", compiled)
    bare = processor_ms("pass", nothing)
    boto3 = processor_ms("import boto3", nothing) - bare
    found = {BARE: (bare, bare), BOTO3: (boto3, boto3)}
    for name in (function.name for function in FUNCTIONS):
        code = source(name)
        found[name] = (
            processor_ms(code, environment(name, compiled)) - bare,
            processor_ms(code, environment(name, plain)) - bare,
        )
    return found


def spread(times: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(times):.0f} ({min(times):.0f}-{max(times):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "import_times.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compiled = layer(Path(folder) / "compiled", has_byte_code=True)
        plain = layer(Path(folder) / "plain", has_byte_code=False)
        one_round(compiled, plain)  # fills the page cache
        rounds = [one_round(compiled, plain) for _ in range(options.rounds)]
    lines = [
        "# Import times of the functions",
        "",
        machine.describe(),
        "",
        f"{options.rounds} interleaved rounds after one that warms the disk cache; median (range)",
        "of the processor's time in ms. The ratio to boto3 is that of each round, with byte code.",
        "boto3 and Python's own modules have byte code in both columns.",
        "",
        "| what | ms | ms without byte code in the layer | × boto3 | budget |",
        "|---|---|---|---|---|",
    ]
    for name in rounds[0]:
        ratios = [each[name][0] / each[BOTO3][0] for each in rounds]
        is_ours = name not in (BARE, BOTO3)
        lines.append(
            f"| {name} | {spread([each[name][0] for each in rounds])} "
            f"| {spread([each[name][1] for each in rounds]) if is_ours else ''} "
            f"| {statistics.median(ratios):.2f} | {f'≤ {BUDGET_MS}' if is_ours else ''} |"
        )
    publish(options.out, lines)


if __name__ == "__main__":
    main()
