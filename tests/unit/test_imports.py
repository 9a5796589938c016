"""What a cold start of a function imports: each module costs time before the first answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hookline.core.topology import FUNCTIONS, Function

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers" / "hookline" / "python"
SETTINGS = {"HOOKLINE_TABLE": "t", "HOOKLINE_BUCKET": "b", "HOOKLINE_QUEUES": "{}"}
NAMES = [function.name for function in FUNCTIONS]

# Not needed by any function, or not there on Lambda. botocore is there: boto3 adds to it.
FOREIGN = {
    *("boto3", "s3transfer", "sqlite3", "multiprocessing", "unittest"),
    *("numpy", "onnxruntime", "PIL", "uvicorn", "uvloop", "httptools", "httpx2", "click", "rich"),
    *("mypy_boto3_s3", "mypy_boto3_ecs", "email_validator"),
    *("hookline.runtime", "hookline.gateway", "hookline.local", "hookline.cli", "hookline.client"),
}
# What turns requests into calls. Messages need none of it, nor does the authorizer.
OF_REQUESTS = {"aws_lambda_powertools", "asyncio", "hookline.core.views", "hookline.core.requests"}

_REPORT = """
import json, sys
import handler
from hookline.core.records import Value

def kinds(of):
    return [one for each in of.__subclasses__() for one in (each, *kinds(each))]

built = [kind.__name__ for kind in kinds(Value) if kind.__pydantic_complete__]
print(json.dumps({"modules": sorted(sys.modules), "built": built}))
"""


@pytest.fixture(scope="module")
def reports() -> Mapping[str, dict[str, Any]]:
    """What each handler has loaded in a new process with the AWS adapters."""
    return {name: _report(name) for name in NAMES}


def _report(name: str) -> dict[str, Any]:
    path = f"{ROOT / 'functions' / name}:{PACKAGE}"
    done = subprocess.run(
        [sys.executable, "-c", _REPORT],
        env={"PYTHONPATH": path, **SETTINGS},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _loaded(names: set[str], report: Mapping[str, Any]) -> set[str]:
    return names & set(report["modules"])


@pytest.mark.parametrize("name", NAMES)
def test_a_function_imports_nothing_that_it_does_not_need(
    name: str, reports: Mapping[str, dict[str, Any]]
) -> None:
    assert not _loaded(FOREIGN, reports[name])


@pytest.mark.parametrize("function", FUNCTIONS, ids=NAMES)
def test_only_a_function_with_routes_has_what_requests_need(
    function: Function, reports: Mapping[str, dict[str, Any]]
) -> None:
    found = _loaded(OF_REQUESTS, reports[function.name])
    assert bool(found) == bool(function.routes)


@pytest.mark.parametrize("name", [one.name for one in FUNCTIONS if not one.routes])
def test_a_record_is_made_ready_when_it_is_first_used(
    name: str, reports: Mapping[str, dict[str, Any]]
) -> None:
    assert reports[name]["built"] == []
