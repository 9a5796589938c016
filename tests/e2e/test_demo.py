from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.cloud import ROOT


def test_the_demo_does_the_main_job(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "examples/demo.py"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    accuracy = re.search(r"^accuracy (\d+\.\d) %$", done.stdout, re.MULTILINE)
    assert accuracy
    assert float(accuracy[1]) >= 95.0
    assert done.stdout.count('"predictions"') >= 3
    assert list(tmp_path.iterdir()) == []
