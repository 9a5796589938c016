"""What the functions' layer and the images weigh: `python -m bench.sizes`. It fetches gigabytes.

The packages are installed as the layer's bundling and the Dockerfiles do it, for their platforms.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from bench import machine
from bench.machine import ROOT
from bench.report import publish
from stacks import bundling

LARGEST = 5
LAMBDA_MB = 250  # of a function with its layers, unzipped (Lambda quotas)


def layer(folder: Path) -> None:
    bundling.install(folder)


def image(folder: Path, lock: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--system-certs"),
            *("--no-cache", "--target", str(folder), "--python-version", "3.11"),
            *("--python-platform", "x86_64-manylinux_2_36", "--only-binary", ":all:"),
            *("--require-hashes", "--requirements", str(lock)),
        ],
        check=True,
    )


def weights(folder: Path) -> Counter[str]:
    """MB by what lies directly in the folder."""
    found: Counter[str] = Counter()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found[path.relative_to(folder).parts[0]] += path.stat().st_size
    return Counter({name: round(size / 1e6) for name, size in found.items()})


def row(name: str, found: Counter[str], limit: str = "") -> str:
    largest = ", ".join(f"{part} {size}" for part, size in found.most_common(LARGEST) if size)
    return f"| {name} | {found.total()} | {limit} | {largest} |"


def main() -> None:
    lines = [
        "# Sizes",
        "",
        "MB (10⁶ bytes), installed, without byte code. An image has its base and git besides.",
        "",
        "| what | MB | limit | the largest parts |",
        "|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as made:
        layer(Path(made) / "layer")
        lines.append(row("layer of the functions", weights(Path(made) / "layer"), str(LAMBDA_MB)))
    for lock in sorted((ROOT / "containers" / "runtime").glob("*.lock")):
        with tempfile.TemporaryDirectory() as made:
            image(Path(made), lock)
            lines.append(row(f"packages of the image {lock.stem}", weights(Path(made))))
    publish(machine.RESULTS / "sizes.md", lines)


if __name__ == "__main__":
    main()
