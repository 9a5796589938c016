"""The tests themselves: one that fails must not make its neighbour fail."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFTEST = "from tests.conftest import pytest_runtest_makereport\n"
TESTS = """
import gc, subprocess, sys

def left_open():
    file = open(__file__)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    knot = [file, child]
    knot.append(knot)
    assert not knot

def test_that_fails_and_leaves_things_open():
    left_open()

def test_that_collects_the_garbage():
    gc.collect()
"""


def test_what_a_failed_test_left_open_fails_no_other(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_two.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "--override-ini", f"pythonpath={ROOT}", "."],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert re.search(r"1 failed, 1 passed in", done.stdout), done.stdout


CHILD = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
INTERRUPTED = f"""
import subprocess, sys

def test_a_child_listens_to_ctrl_c():
    command = [sys.executable, "-c", {CHILD!r}]
    assert subprocess.check_output(command) == b"True\\n"
"""


def test_children_listen_to_ctrl_c_also_in_the_background(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_configure\n")
    (tmp_path / "test_one.py").write_text(INTERRUPTED)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    command += ["--override-ini", f"pythonpath={ROOT}"]
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command, "."],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout
