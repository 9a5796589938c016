"""The worlds the contract suite runs over. One entry per adapter."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from hookline.adapters.embedded import wiring
from hookline.core.ports import Ports
from tests.fakes import FakeClock, FakeFleet

World = Callable[[Path, FakeClock], AbstractContextManager[Ports]]


@contextmanager
def embedded(home: Path, clock: FakeClock) -> Iterator[Ports]:
    yield wiring.ports(home, fleet=FakeFleet(clock), clock=clock)


@contextmanager
def embedded_with_chaos(home: Path, clock: FakeClock) -> Iterator[Ports]:
    yield wiring.ports(home, fleet=FakeFleet(clock), clock=clock, chaos=7)


@contextmanager
def aws(_home: Path, clock: FakeClock) -> Iterator[Ports]:
    require_moto()
    from tests.unit.adapters.aws.world import moto_ports  # noqa: PLC0415 - imports moto

    with moto_ports(clock) as ports:
        yield ports


def missing_for_aws() -> list[str]:
    """What would have to be installed to play AWS here."""
    return [name for name in ("botocore", "moto") if importlib.util.find_spec(name) is None]


def require_moto() -> None:
    """Skip where AWS cannot be played; in CI that is a failure."""
    if missing := missing_for_aws():
        why = f"{' and '.join(missing)} missing: pip install 'hookline[aws,dev]'"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)


WORLDS: dict[str, World] = {"embedded": embedded, "aws": aws}
DISORDERLY: dict[str, World] = {"embedded+chaos": embedded_with_chaos}
