from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from hookline.core.errors import Conflict
from hookline.local.lock import HomeLock


def hold(home: Path, told: Connection) -> None:
    with HomeLock.taken(home):
        told.send(os.getpid())
        told.recv()


def test_one_process_holds_a_home_and_others_see_which(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    holder = context.Process(target=hold, args=(tmp_path, there))
    holder.start()
    try:
        pid = here.recv()
        assert HomeLock.holder(tmp_path) == pid
        with pytest.raises(Conflict, match=f"process {pid}"), HomeLock.taken(tmp_path):
            pass
        holder.kill()
        holder.join()
        assert HomeLock.holder(tmp_path) is None
    finally:
        holder.kill()
        holder.join()
        here.close()
        there.close()


def test_a_home_that_was_never_used_has_no_holder(tmp_path: Path) -> None:
    assert HomeLock.holder(tmp_path / "nowhere") is None
