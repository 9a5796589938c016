"""The process of one step: `python -m hookline.convert.process SPEC.json`.

It enters the sandbox, without a network, and then does the step itself or becomes the Python of an
isolated environment that does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hookline.convert.job import read_job, work
from hookline.runtime import lifecycle, sandbox
from hookline.runtime.spec import SandboxSpec


class StepSpec(msgspec.Struct, frozen=True, kw_only=True):
    """`command` replaces this process once it is confined; without one it does `job` itself."""

    job: str
    sandbox: SandboxSpec
    parent_pid: int
    command: tuple[str, ...] = ()


def main(argv: Sequence[str]) -> int:
    """Do the step of the spec file in `argv`; return the exit status."""
    (path,) = argv
    spec = msgspec.json.decode(Path(path).read_bytes(), type=StepSpec)
    lifecycle.die_with_parent(spec.parent_pid)
    sandbox.enter(spec.sandbox, "")
    if spec.command:
        os.execv(spec.command[0], spec.command)  # noqa: S606 - no shell is wanted
    return work(read_job(Path(spec.job)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
