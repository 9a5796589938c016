"""Byte code for the layer: Lambda cannot keep any, since /opt is read-only.

Without it, every cold start compiles what it imports. Only an interpreter of the runtime's own
version makes byte code that the runtime reads, so there is some where one is installed.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

PLACE = "/opt/python"  # where Lambda unpacks the layer's folder `python`


@cache
def interpreter(version: str) -> str | None:
    """A Python of that version on this machine; nothing is downloaded for it."""
    find = (sys.executable, "-m", "uv", "python", "find", "--no-python-downloads", version)
    found = subprocess.run(find, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    return found.stdout.strip() or None


def compile_all(folder: Path, python: str) -> None:
    """Write byte code beside each module below `folder`: the same bytes on every machine.

    It is not compared with the source, whose time is that of the deployment.
    """
    subprocess.run(  # noqa: S603 - nothing here comes from outside
        [
            *(python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"),
            *("-s", str(folder), "-p", PLACE, str(folder)),
        ],
        check=True,
        stdout=sys.stderr,  # standard output is jsii's
    )


def advice(version: str) -> str:
    """What to say where there is no interpreter."""
    return (
        f"The layer has no byte code, as Python {version} is not installed here: each cold start "
        f"compiles what it imports. Install it, as with `uv python install {version}`."
    )
