"""Fixtures for every test: a home folder, a clock that tests move, and the embedded ports."""

from __future__ import annotations

import gc
import os
import signal
import traceback
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from hookline.adapters.embedded import wiring
from hookline.core.ports import Ports
from tests.fakes import FakeClock, FakeFleet


def pytest_configure() -> None:
    """A shell that runs the tests in the background has them ignore Ctrl-C, and so their children.

    Those that a test interrupts would go on.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _same_folder() -> Iterator[None]:
    """Hooks run in their own folder: a test that loads some leaves it, for those after it."""
    folder = Path.cwd()
    yield
    os.chdir(folder)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def fleet(clock: FakeClock) -> FakeFleet:
    return FakeFleet(clock)


@pytest.fixture
def ports(home: Path, clock: FakeClock, fleet: FakeFleet) -> Ports:
    return wiring.ports(home, fleet=fleet, clock=clock)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a failed test left open goes here, so that it cannot warn in the midst of another.

    Its traceback would keep files and processes alive until the garbage is collected some day; a
    warning is an error then, of whichever test is running.
    """
    report = yield
    if call.excinfo is not None and report.failed and not item.config.getoption("usepdb"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            traceback.clear_frames(call.excinfo.tb)
            for frame, _ in traceback.walk_tb(call.excinfo.tb):
                len(frame.f_locals)  # up to Python 3.12 a copy that is brought up to date by this
            gc.collect()
    return report
