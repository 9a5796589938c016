"""The world of these tests itself: processes of other tests may run beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.containers.world import own_host

TAKE = """
from tests.containers.world import own_host
with own_host() as host:
    print(host, flush=True)
    input()
"""
ROOT = Path(__file__).parents[2]


def test_no_two_processes_have_the_same_address() -> None:
    with (
        own_host() as first,
        own_host() as second,
        subprocess.Popen(
            [sys.executable, "-c", TAKE],
            cwd=ROOT,
            env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other,
    ):
        assert other.stdout is not None
        taken = other.stdout.readline().strip()
        other.communicate("\n")
    assert len({first, second, taken, ""}) == 4
