"""What takes long is made once in a test run, also when several processes run the tests."""

from __future__ import annotations

import fcntl
import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], T]) -> T:
    """What `make` returned for the one who came first; `make` gets an empty folder that stays.

    Where it failed, all who come later fail with its traceback.
    """
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / f"shared-{name}"
    folder.mkdir(exist_ok=True)
    stored, failed = folder / "stored", folder / "failed"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if failed.exists():
            pytest.fail(f"{name} was not made:\n{failed.read_text()}", pytrace=False)
        if not stored.exists():
            place = folder / "place"
            place.mkdir()
            try:
                (folder / "new").write_bytes(pickle.dumps(make(place)))
            except BaseException:
                failed.write_text(traceback.format_exc())
                raise
            (folder / "new").rename(stored)
        found: T = pickle.loads(stored.read_bytes())
        return found
