"""`down --purge` deletes everything: a person at a terminal is asked, a script is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CODE = "from hookline.cli.start import hookline\nhookline()"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A cloud that does not run, with something in it."""
    place = tmp_path / "cloud"
    place.mkdir()
    (place / "catalog.db").write_bytes(b"")
    return place


def purge(home: Path, *words: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    """Purge it, with what a person types at a terminal, or with no terminal at all."""
    line = [sys.executable, "-c", CODE, "down", "--purge", "--home", str(home), *words]
    person, terminal = os.openpty()
    try:
        os.write(person, (typed or "").encode())
        return subprocess.run(
            line,
            stdin=subprocess.DEVNULL if typed is None else terminal,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": f"{ROOT}/layers/hookline/python"},
            check=False,
            timeout=60,
        )
    finally:
        os.close(person)
        os.close(terminal)


@pytest.mark.parametrize("typed", ["n\n", "\n"])
def test_a_person_who_is_not_sure_keeps_everything(home: Path, typed: str) -> None:
    done = purge(home, typed=typed)

    assert done.returncode == 1
    assert f"Delete all models, volumes and jobs in {home}?" in done.stderr
    assert done.stderr.endswith("It is all as it was.\n")
    assert (home / "catalog.db").exists()


@pytest.mark.parametrize(
    ("words", "typed"), [((), "y\n"), (("--yes",), ""), ((), None)], ids=["y", "--yes", "script"]
)
def test_it_is_deleted_when_that_is_sure(
    home: Path, words: tuple[str, ...], typed: str | None
) -> None:
    done = purge(home, *words, typed=typed)

    assert done.returncode == 0
    assert ("Delete all" in done.stderr) == (typed == "y\n")
    assert not home.exists()
