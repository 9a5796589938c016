from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.cloud import ROOT


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for those of sockets."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def test_the_demo_does_the_main_job(short: Path) -> None:
    done = subprocess.run(
        [sys.executable, "examples/demo.py"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(short), "TMPDIR": str(short)},
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    accuracy = re.search(r"^accuracy (\d+\.\d) %$", done.stdout, re.MULTILINE)
    assert accuracy
    assert float(accuracy[1]) >= 95.0
    assert done.stdout.count('"predictions"') >= 3
    assert list(short.iterdir()) == []
