"""Models asked about files whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hookline.core.errors import InvalidInput, NotFound
from hookline.evaluation.picture import draw
from hookline.evaluation.truth import read_truth
from hookline.evaluation.workshop import Material, Workshop
from hookline.runtime.spec import PipelineSpec
from tests import onnx_models
from tests.e2e.cloud import DIGITS, digit_files

FILES = {path.name: path for path in digit_files()}
TRUTH = read_truth(DIGITS / "truth.csv")


def test_the_digits_are_told_apart_as_their_readme_says(
    workshop: Workshop, digits: PipelineSpec
) -> None:
    done = workshop.evaluate(digits, Material(FILES, TRUTH))

    report = done.report
    assert report["task"] == "classification"
    assert (report["examples"], report["skipped"]) == (100, 0)
    assert report["top_1"] == 0.98
    assert report["top_k"] == 5
    assert report["top_k_accuracy"] >= report["top_1"]
    matrix = np.array(report["confusion"])
    assert matrix.sum() == 100
    assert matrix.trace() == 98
    assert [each["label"] for each in report["classes"]] == list("0123456789")
    assert report["classes"][6]["recall"] == matrix[6, 6] / matrix[6].sum()
    assert 0 <= report["calibration_error"] < 0.1
    assert 0 < report["latency_p50_ms"] <= report["latency_p99_ms"]
    assert report["throughput_per_s"] > 0
    assert done.picture.startswith(b"\x89PNG")


def test_files_without_truth_are_not_asked(workshop: Workshop, digits: PipelineSpec) -> None:
    known = {name: TRUTH[name] for name in list(FILES)[:7]}
    assert workshop.evaluate(digits, Material(FILES, known)).report["examples"] == 7


def test_files_that_cannot_be_read_are_counted(
    workshop: Workshop, digits: PipelineSpec, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    files = {"bad.png": tmp_path / "bad.png", "000.png": FILES["000.png"]}

    report = workshop.evaluate(digits, Material(files, TRUTH | {"bad.png": ("1",)})).report

    assert (report["examples"], report["skipped"]) == (1, 1)
    assert report["first_error"].startswith("bad.png: ")


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [("cat", "'cat', which is no class of the model"), ("11", "and the model has 10 classes")],
)
def test_a_class_that_the_model_has_not_is_refused(
    cell: str, sentence: str, workshop: Workshop, digits: PipelineSpec
) -> None:
    truth = TRUTH | {"000.png": (cell,)}
    with pytest.raises(InvalidInput, match=sentence):
        workshop.evaluate(digits, Material(FILES, truth), task="classification")


def test_values_are_held_to_theirs(
    workshop: Workshop, spec_of: Callable[[Path], PipelineSpec], tmp_path: Path
) -> None:
    """The mean of an image, against a truth that is off by 2 for one of two."""
    spec = spec_of(onnx_models.total(tmp_path / "m.onnx"))
    files = {}
    for name, value in (("a.json", 1.0), ("b.json", 3.0)):
        (tmp_path / name).write_text(json.dumps([value, 0.0, 0.0]))
        files[name] = tmp_path / name
    truth = {"a.json": ("1",), "b.json": ("5",)}

    report = workshop.evaluate(spec, Material(files, truth)).report

    assert report["task"] == "regression"
    assert report["mae"] == 1
    assert report["rmse"] == pytest.approx(2**0.5)
    assert report["r2"] == pytest.approx(1 - 4 / 8)


def test_the_truth_is_a_csv_of_names_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("\ufeffname,label\na.png, cat \ncats/b.png,dog\n", encoding="utf-8")
    assert read_truth(path) == {"a.png": ("cat",), "cats/b.png": ("dog",)}


@pytest.mark.parametrize("text", ["", "name,label\n", "name\na.png\n", "name,label\na.png\n"])
def test_a_truth_without_answers_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(InvalidInput, match="does not say what is right"):
        read_truth(tmp_path / "truth.csv")


def test_a_truth_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no file"):
        read_truth(tmp_path / "truth.csv")


@pytest.mark.parametrize("count", [2, 40, 500])
def test_a_matrix_of_any_size_is_drawn(count: int, tmp_path: Path) -> None:
    draw(
        np.eye(count, dtype=np.int64), [f"a long label {at}" for at in range(count)], tmp_path / "p"
    )
    with Image.open(tmp_path / "p") as picture:
        assert count <= picture.width == picture.height <= 1700
        corner = picture.getpixel((picture.width - 3, picture.height - 3))
        assert corner == (8, 81, 156)  # the last class was always answered
