"""What a result was measured on, and what processes cost: read from /proc."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
COMMAND = str(Path(sys.executable).with_name("hookline"))
PACKAGES = (
    "hookline",
    "onnxruntime",
    "numpy",
    "pillow",
    "uvicorn",
    "uvloop",
    "httptools",
    "msgspec",
)
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def describe() -> str:
    """Machine, versions and commit, as the head of a result file."""
    processors = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{len(processors)} × {processors[0]}, {memory_kb / 1048576:.0f} GB; "
        f"{platform.platform()}; Python {platform.python_version()}; "
        f"commit {commit or 'unknown'}; {packages}."
    )


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process and its descendants have used and hold at one moment."""

    cpu_s: float
    pss_bytes: int
    rss_bytes: int
    processes: int


def cost(pid: int) -> Cost:
    """The cost of `pid` with all that it started; a process that just ended counts nothing."""
    samples = [sample for each in tree(pid) if (sample := _one(each)) is not None]
    return Cost(
        cpu_s=sum(sample[0] for sample in samples),
        pss_bytes=sum(sample[1] for sample in samples),
        rss_bytes=sum(sample[2] for sample in samples),
        processes=len(samples),
    )


def tree(pid: int) -> list[int]:
    """`pid` and its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found.extend(children.get(each, ()))
    return found


def _one(pid: int) -> tuple[float, int, int] | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    sizes_kb = {line.split(":")[0]: int(line.split()[1]) for line in rollup[1:]}
    # utime, stime, and those of children that have ended and were waited for
    cpu_s = sum(map(int, fields[11:15])) / _TICKS_PER_S
    return cpu_s, sizes_kb["Pss"] * 1024, sizes_kb["Rss"] * 1024
