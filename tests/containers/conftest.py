"""These tests start processes against AWS as moto plays it over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.adapters import missing_for_aws

collect_ignore_glob = ["test_*.py"] if missing_for_aws() else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever starts processes is slow."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
