"""Says at the end of a session how much was made to go wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

COUNTED = "faults"

Count = Callable[[str, int], None]


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Count:
    """Adds to the sum of what was made to go wrong, under a heading."""
    return lambda heading, number: record_property(COUNTED, (heading, number))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line a heading; a test that failed counts as a violation."""
    done: dict[str, int] = {}
    for report in terminalreporter.getreports("passed"):
        for name, (heading, number) in report.user_properties:
            if name == COUNTED:
                done[heading] = done.get(heading, 0) + number
    for heading, number in sorted(done.items()):
        terminalreporter.write_line(f"{heading}: {number:,}, no violation")
