from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from hookline.adapters.aws import task_logs
from hookline.adapters.aws.task_logs import TaskLogs
from tests.fakes import FakeClock
from tests.unit.adapters.aws.fleets import SETTINGS
from tests.unit.adapters.aws.world import fresh_clients


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=1000.0)


def answers(*pages: list[int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"events": [{"timestamp": time, "message": f"m{time}"} for time in page]} for page in pages
    ]
    for at, page in enumerate(found[:-1]):
        page["nextToken"] = f"page{at}"
    return found


def read(clock: FakeClock, after: int, *pages: list[int]) -> tuple[list[str], int]:
    clients = fresh_clients()
    with Stubber(clients.logs) as stub:
        for page in answers(*pages):
            stub.add_response("filter_log_events", page)
        return TaskLogs(clients, SETTINGS, clock).read(["task"], after)


def test_lines_come_in_pages_and_the_position_goes_on_from_there(clock: FakeClock) -> None:
    assert read(clock, 0, [1, 2], [3]) == (["m1", "m2", "m3"], 998_000)


def test_nothing_is_asked_for_before_lines_have_settled(clock: FakeClock) -> None:
    assert read(clock, 998_000) == ([], 998_000)


def test_too_many_lines_end_before_a_millisecond_never_within(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_logs, "MAX_LINES", 3)

    assert read(clock, 0, [1, 2, 3, 3, 4]) == (["m1", "m2"], 3)
    assert read(clock, 3, [3, 3, 4]) == (["m3", "m3", "m4"], 998_000)


def test_a_millisecond_with_too_many_lines_is_shown_whole(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_logs, "MAX_LINES", 1)

    assert read(clock, 0, [7, 7, 7, 8]) == (["m7", "m7", "m7"], 8)
