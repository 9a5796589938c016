from __future__ import annotations

from pathlib import Path

import pytest

from hookline.adapters.embedded.runs import run_folder
from hookline.core import config
from hookline.core.ports import Group
from hookline.local.orders import Command, parse


def test_the_folders_of_other_streams_are_hidden_wherever_they_lie(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    runs = run_folder(home)
    command = Command(config.from_environment({"HOOKLINE_HOME": str(home)}))
    order = parse(command(Group("acme", "stream-7", "stream", 1), "1", runs / "1")[-2:])

    assert not runs.is_relative_to(home)
    assert {home, runs} <= set(order.hidden)


def test_the_home_of_whoever_runs_it_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "ada"))
    command = Command(config.from_environment({"HOOKLINE_HOME": str(tmp_path / "h")}))
    order = parse(command(Group("acme", "stream-7", "stream", 1), "1", tmp_path / "h/run/1")[-2:])

    assert tmp_path / "ada" in order.hidden
    monkeypatch.setenv("HOME", "/")
    assert Path("/") not in order.hidden
