"""An environment per peer, made by uv once and kept outside the repository.

`HOOKLINE_BENCH_CACHE` says where; else it is the user's cache folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CACHE = Path(os.environ.get("HOOKLINE_BENCH_CACHE", Path.home() / ".cache/hookline-bench/peers"))
# What the work itself takes (bench/work.py), at the versions that hookline runs on.
COMMON = ("msgspec", "numpy", "onnxruntime", "pillow")


class Missing(Exception):
    """A peer cannot be installed here."""


def environment(name: str, requirements: Sequence[str], common: Sequence[str]) -> Path:
    """The folder with the peer's commands; made when it is not there. Raise Missing."""
    folder = CACHE / name
    own = {each.split("<")[0] for each in requirements}
    common = [each for each in common if each.split("==")[0] not in own]
    done = folder / "installed.txt"
    wanted = "\n".join((*requirements, *common))
    if not done.is_file() or done.read_text(encoding="utf-8") != wanted:
        python = folder / "bin" / "python"
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--system-certs", "--python", str(python), *requirements, *common)
        done.write_text(wanted, encoding="utf-8")
    return folder / "bin"


def version(folder: Path, package: str) -> str:
    """Which version of `package` the environment whose commands lie in `folder` has."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run(
        [folder / "python", "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", "--quiet", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Missing(done.stderr.strip().splitlines()[-1] if done.stderr else "uv failed")
