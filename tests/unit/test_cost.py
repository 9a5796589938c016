"""The page on scale says what the program computes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cost import BUSY, Machine, million, tables

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


def test_the_page_has_the_tables_that_are_computed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for table in tables().split("\n\n"):
        assert table in page


def test_a_machine_that_answers_one_per_second_takes_a_million_seconds() -> None:
    machine = Machine("cpu", "", 3.6, "", 1 / BUSY)
    assert million(machine) == pytest.approx(1000)
