"""What a model and its conversion are compared on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hookline.convert.cases import Array, record, recorded
from hookline.convert.examples import store_examples
from hookline.convert.job import SAMPLES, Job, Tensor
from hookline.core.errors import InvalidInput

INPUTS = [Tensor("x", "float32", (-1, 3))]
ROW = np.array([1, 2, 3], np.float32)


def doubled(given: list[Array]) -> list[Array]:
    """A model that takes rows of three numbers and no others."""
    if given[0].shape[1:] != (3,):
        raise ValueError("three numbers, please")
    return [2 * given[0]]


def job(folder: Path, samples: tuple[Path, ...] = (), examples: Path | None = None) -> Job:
    details = {"examples": str(examples), "names": ["a.png", "b.png"]} if examples else {}
    names = tuple(str(path) for path in samples)
    return Job(module="", source="", folder=str(folder), samples=names, details=details)


def test_random_inputs_arrays_and_files_are_all_asked(tmp_path: Path) -> None:
    np.save(tmp_path / "row.npy", ROW)
    store_examples([{"x": ROW + 1}, {"x": ROW + 2}], {"x"}, tmp_path / "examples.npz")

    count = record(
        job(tmp_path, (tmp_path / "row.npy",), tmp_path / "examples.npz"), INPUTS, doubled
    )

    cases = list(recorded(tmp_path / SAMPLES))
    assert count == len(cases) == 5
    assert [given[0].tolist() for given, _ in cases[2:]] == [
        [[1, 2, 3]],
        [[2, 3, 4]],
        [[3, 4, 5]],
    ]
    assert all(np.array_equal(answer[0], 2 * given[0]) for given, answer in cases)


def test_a_sample_that_the_model_does_not_take_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "four.npy", np.zeros(4, np.float32))

    with pytest.raises(InvalidInput, match=r"does not take the sample four\.npy") as caught:
        record(job(tmp_path, (tmp_path / "four.npy",)), INPUTS, doubled)

    assert "three numbers, please" in caught.value.why
