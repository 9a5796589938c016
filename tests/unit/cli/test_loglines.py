"""`stream logs` for one time, gravity or request."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_api import FakeApi

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def event(at: datetime, level: str, name: str, **more: str) -> str:
    return json.dumps({"time": at.isoformat(), "level": level, "event": name, **more})


@pytest.fixture(autouse=True)
def logged(api: FakeApi) -> None:
    api.streams[23] = {"id": 23}
    api.logs = [
        "before anything",
        event(NOON, "INFO", "began"),
        "printed after began",
        event(NOON + timedelta(hours=1), "WARNING", "slow", request_id="r1"),
        "{ not json",
        event(NOON + timedelta(hours=2), "CRITICAL", "ended", request_id="r2"),
    ]


def shown(hookline: Call, *words: str) -> list[str]:
    result = hookline("stream", "logs", "23", *words)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    return [json.loads(line)["event"] if line.startswith('{"') else line for line in lines]


def test_without_a_wish_every_line_comes(hookline: Call) -> None:
    assert len(shown(hookline)) == 6


@pytest.mark.parametrize("since", ["2026-01-02T13:00:00Z", "2026-01-02T15:00:00+02:00"])
def test_since_a_time_prints_have_the_time_of_the_line_before(hookline: Call, since: str) -> None:
    assert shown(hookline, "--since", since) == ["slow", "{ not json", "ended"]


def test_since_an_age(api: FakeApi, hookline: Call) -> None:
    now = datetime.now(UTC)
    api.logs = [
        event(now - timedelta(minutes=11), "INFO", "old"),
        event(now - timedelta(minutes=9), "INFO", "new"),
    ]

    assert shown(hookline, "--since", "10m") == ["new"]
    assert shown(hookline, "--since", "1h") == ["old", "new"]


@pytest.mark.parametrize(
    ("level", "names"),
    [
        ("debug", ["began", "slow", "ended"]),
        ("WARNING", ["slow", "ended"]),
        ("error", ["ended"]),
    ],
)
def test_a_level_leaves_out_what_is_less_grave_and_prints(
    hookline: Call, level: str, names: list[str]
) -> None:
    assert shown(hookline, "--level", level) == names


def test_a_request_has_its_lines(hookline: Call) -> None:
    assert shown(hookline, "--request-id", "r1") == ["slow"]
    assert shown(hookline, "--request-id", "r3") == []


@pytest.mark.parametrize("since", ["yesterday", "10", "1e3s", "999999d", ""])
def test_what_is_no_time_is_a_usage_error(hookline: Call, since: str) -> None:
    result = hookline("stream", "logs", "23", "--since", since)

    assert result.exit_code == 2
    assert f"{since!r} is neither an age, as 10m, nor a time" in result.stderr
