"""Padded to buckets, an item's answer is its own: whatever its length, and whatever it is with."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.runtime.items import Answer, Item
from hookline.runtime.pipeline import Pipeline
from hookline.runtime.spec import Padding, PipelineSpec
from tests import onnx_models

# Small whole numbers: their sums are exact in whatever order a kernel adds them up.
ROWS = st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=20), min_size=1, max_size=12)
BUCKETS = (4, 8, 16)
FILL = 3


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as found:
        yield Path(found)


@pytest.fixture(scope="module")
def summed(folder: Path) -> Pipeline:
    return loaded(onnx_models.sums(folder / "sums.onnx"), "x")


@pytest.fixture(scope="module")
def attended(folder: Path) -> Pipeline:
    return loaded(onnx_models.attended(folder / "attended.onnx"), "tokens")


def loaded(path: Path, filled: str) -> Pipeline:
    padding = Padding(buckets=BUCKETS, values={filled: FILL})
    return Pipeline.load(PipelineSpec(model_path=str(path), padding=padding))


def run(pipeline: Pipeline, values: list[Any]) -> list[bytes]:
    items = [Item(json.dumps(value).encode(), "application/json") for value in values]
    outcomes = pipeline.run(items)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    return [outcome.body for outcome in outcomes if isinstance(outcome, Answer)]


def padding_of(row: list[int]) -> int:
    return next((size for size in BUCKETS if size >= len(row)), len(row)) - len(row)


@given(rows=ROWS)
@settings(deadline=None)
def test_a_batch_of_mixed_lengths_answers_as_each_would_alone(
    summed: Pipeline, rows: list[list[int]]
) -> None:
    together = run(summed, rows)
    assert together == [body for row in rows for body in run(summed, [row])]
    for row, body in zip(rows, together, strict=True):
        outputs = json.loads(body)["outputs"]
        assert outputs["sum"] == [sum(row) + FILL * padding_of(row)]
        assert outputs["pairs"] == [[a + b for b in row] for a in row]


@given(rows=ROWS)
@settings(deadline=None)
def test_a_model_with_a_mask_sees_nothing_of_the_padding(
    attended: Pipeline, rows: list[list[int]]
) -> None:
    asked = [{"tokens": row, "mask": [1] * len(row)} for row in rows]
    together = run(attended, asked)
    assert together == [body for one in asked for body in run(attended, [one])]
    for row, body in zip(rows, together, strict=True):
        outputs = json.loads(body)["outputs"]
        assert outputs["mean"] == pytest.approx([sum(row) / len(row)], rel=1e-6)
        assert outputs["per_token"] == row
