from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from hookline.adapters.machine.exits import ending
from hookline.adapters.machine.spawn import engine_environment, spawn_engine, trusted_environment
from hookline.core.errors import Unavailable

GIVEN = {
    "PATH": "/bin",
    "LANG": "C.UTF-8",
    "HOME": "/home/ada",
    "HOOKLINE_KEY": "hk_secret",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "PYTHONSTARTUP": "x.py",
    "LD_PRELOAD": "x.so",
    "UV_INDEX_URL": "https://user:password@host/",
    "https_proxy": "http://proxy",
}


def test_user_code_gets_no_setting_of_ours(tmp_path: Path) -> None:
    got = engine_environment(tmp_path, GIVEN)

    assert got["HOME"] == got["TMPDIR"] == str(tmp_path)
    assert set(got) - {"PYTHONPATH"} == {"PATH", "LANG", "HOME", "TMPDIR", "PYTHONUNBUFFERED"}


def test_our_own_processes_may_reach_the_network_and_no_more() -> None:
    got = trusted_environment(GIVEN)

    assert got["https_proxy"] == "http://proxy"
    assert not set(got) & {"HOOKLINE_KEY", "AWS_SECRET_ACCESS_KEY", "PYTHONSTARTUP", "LD_PRELOAD"}


def test_an_engine_that_cannot_read_its_spec_ends_and_says_why(tmp_path: Path) -> None:
    connection, engine = spawn_engine(tmp_path / "nosuch.json", tmp_path / "engine.log")
    with connection:
        connection.settimeout(30)
        assert connection.recv(1) == b""
    how = engine.wait(30)

    assert how.startswith("ended with exit code")
    assert "nosuch.json" in (tmp_path / "engine.log").read_text()


def test_an_engine_is_killed_with_its_process_group(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "spec.json")  # reading it blocks: an engine that hangs
    connection, engine = spawn_engine(tmp_path / "spec.json", tmp_path / "engine.log")
    with connection:
        with pytest.raises(Unavailable, match="still runs"):
            engine.wait(0.01)
        assert os.getpgid(engine.pid) == engine.pid
        engine.kill()
        assert engine.wait(30) == "died with SIGKILL"
        engine.kill()


def test_an_engine_that_cannot_be_started_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nosuch"))

    with pytest.raises(Unavailable, match="No engine"):
        spawn_engine(tmp_path / "spec.json")


@pytest.mark.parametrize(
    ("returncode", "words"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (-signal.SIGSEGV, "died with SIGSEGV"),
        (-99, "died with signal 99"),
    ],
)
def test_an_end_is_told_in_words(returncode: int, words: str) -> None:
    assert ending(returncode) == words
