"""One cloud for all tests of a module; starting one for each test would take minutes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cloud import DIGITS, Cloud, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever starts processes is slow."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running(tmp_path_factory.mktemp("cloud") / "home") as started:
        yield started


@pytest.fixture(scope="module")
def model_id(cloud: Cloud) -> str:
    """The digits model, imported."""
    return str(cloud.ask("model", "import", f"{DIGITS}/digits.onnx", "--name", "digits")["id"])
