"""The scripts' first and last moments: quiet under Ctrl-C, with nothing loaded in vain."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hookline import __version__

ROOT = Path(__file__).parents[3]
CTRL_C = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


def run_script(
    name: str, *words: str, first: str = "", path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a script as the shell does, after `first`; modules in `path` win over the real ones."""
    code = f"{first}\nimport sys\nfrom hookline.cli.start import {name}\nsys.exit({name}())"
    places = [*([str(path)] if path else []), f"{ROOT}/layers/hookline/python"]
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["hookline", "ncloud"])
def test_ctrl_c_while_importing_is_quiet(name: str, tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(f"{CTRL_C}raise SystemExit('went on')")

    done = run_script(name, "--help", path=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_while_leaving_is_quiet() -> None:
    late = "import atexit, os, signal\natexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))"

    done = run_script("hookline", "--help", first=late)

    assert (done.returncode, done.stderr) == (130, "")
    assert done.stdout.startswith("Usage: hookline")


def test_a_script_that_was_told_to_ignore_ctrl_c_does(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(f"{CTRL_C}raise SystemExit('went on')")
    ignore = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)"

    done = run_script("hookline", "--help", first=ignore, path=tmp_path)

    assert done.stderr == "went on\n"


def test_version_names_build_python_and_platform_and_loads_no_command_line() -> None:
    show = "import atexit, sys\natexit.register(lambda: print('click' in sys.modules))"

    line, has_click = run_script("hookline", "--version", first=show).stdout.splitlines()

    assert line.startswith(f"hookline {__version__} (Python 3.")
    assert has_click == "False"
