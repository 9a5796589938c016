from __future__ import annotations

import subprocess
import sys

import pytest

from hookline.adapters.absent_fleet import AbsentFleet
from hookline.adapters.aws.fleet import EcsFleet
from hookline.adapters.aws.wiring import ports_from_env
from hookline.core.errors import BadRequest, InvalidInput, Unavailable
from hookline.core.ports import Group
from tests.unit.adapters.aws.test_settings import FUNCTION, TASK

HEAVY = ("numpy", "onnxruntime", "PIL", "uvicorn", "sqlite3")


def test_a_function_has_a_fleet_and_a_task_has_none() -> None:
    assert isinstance(ports_from_env(FUNCTION).fleet, EcsFleet)
    assert isinstance(ports_from_env(TASK).fleet, AbsentFleet)


def test_the_absent_fleet_refuses_everything() -> None:
    fleet = AbsentFleet("Elsewhere.")
    for call in (
        lambda: fleet.ensure(Group("t", "stream-1", "stream", 1)),
        lambda: fleet.observe("t", "stream-1"),
        lambda: fleet.remove("t", "stream-1"),
        lambda: fleet.logs("t", "stream-1"),
    ):
        with pytest.raises(Unavailable, match="stream-1 cannot be reached"):
            call()


def test_links_on_this_machine_are_refused() -> None:
    with pytest.raises(InvalidInput):
        ports_from_env(TASK).linked("file:///etc")


def test_settings_that_are_wrong_stop_the_process() -> None:
    with pytest.raises(BadRequest):
        ports_from_env({})


def test_building_the_ports_makes_no_client_and_imports_nothing_heavy() -> None:
    code = f"""
import sys
from hookline.adapters.aws.wiring import ports_from_env
ports = ports_from_env({FUNCTION!r})
made = set(vars(ports.catalog._clients)) & {{"dynamodb", "s3", "sqs", "ecs", "logs"}}
heavy = [name for name in {HEAVY!r} if name in sys.modules]
assert not made and not heavy, (made, heavy)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
