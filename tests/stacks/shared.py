"""What takes long is made once in a test run, also when several processes run the tests."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], T]) -> T:
    """What `make` returned for the one who came first; `make` gets an empty folder that stays."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / f"shared-{name}"
    folder.mkdir(exist_ok=True)
    stored = folder / "stored"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stored.exists():
            place = folder / "place"
            place.mkdir()
            (folder / "new").write_bytes(pickle.dumps(make(place)))
            (folder / "new").rename(stored)
        found: T = pickle.loads(stored.read_bytes())
        return found
