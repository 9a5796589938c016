"""KServe's V1 protocol, on real models."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx.helper import make_node
from PIL import Image

from tests import onnx_models
from tests.unit.runtime.bodies import encoded
from tests.unit.runtime.speaking import asked

PREDICT = "/v1/models/tiny:predict"


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    return onnx_models.identity(tmp_path / "m.onnx")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return onnx_models.two_in_two_out(tmp_path / "two.onnx")


def test_instances_give_predictions_in_their_order(identity: Path) -> None:
    rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    answer = asked(identity, "POST", PREDICT, json={"instances": rows})
    assert (answer.status_code, answer.json()) == (200, {"predictions": rows})


def test_instances_of_several_inputs_are_objects(two: Path) -> None:
    rows = [{"a": [5, 6], "b": [1, 2]}, {"b": [0, 0], "a": [1, 1]}]
    answer = asked(two, "POST", PREDICT, json={"instances": rows})
    assert answer.json() == {
        "predictions": [
            {"total": [6, 8], "difference": [4, 4]},
            {"total": [1, 1], "difference": [1, 1]},
        ]
    }


def test_inputs_are_columns_and_so_are_outputs(two: Path) -> None:
    columns = {"a": [[5, 6], [1, 1]], "b": [[1, 2], [0, 0]]}
    answer = asked(two, "POST", PREDICT, json={"inputs": columns})
    expected = {"total": [[6, 8], [1, 1]], "difference": [[4, 4], [1, 1]]}
    assert answer.json() == {"outputs": expected}


def test_the_columns_of_one_input_need_no_name(identity: Path) -> None:
    answer = asked(identity, "POST", PREDICT, json={"inputs": [[1, 2, 3]]})
    assert answer.json() == {"outputs": [[1, 2, 3]]}


def test_an_instance_may_be_a_file(tmp_path: Path) -> None:
    model = onnx_models.image_mean(tmp_path / "m.onnx")
    file = base64.b64encode(encoded(Image.new("RGB", (5, 4), (1, 2, 3)))).decode()
    answer = asked(model, "POST", PREDICT, json={"instances": [{"b64": file}]})
    assert answer.json() == {"predictions": [[1, 2, 3]]}


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "not a request to predict"),
    "neither": ("{}", "either instances or inputs"),
    "both": ({"instances": [[1]], "inputs": [[1]]}, "either instances or inputs"),
    "none": ({"instances": []}, "no rows"),
    "ragged columns": ({"inputs": {"a": [1], "b": [1, 2]}}, "not lists of one length"),
    "a bad row": ({"instances": [[1, 2, 3], [1, 2]]}, "Row 2 failed: The input x has the shape"),
    "no base64": ({"instances": [{"b64": "ü"}]}, "not base64"),
    "deep": ('{"instances":' + "[" * 100_000, "not a request to predict"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_predicted_is_refused_in_a_sentence(case: str, identity: Path) -> None:
    body, sentence = BAD[case]
    text = body if isinstance(body, str) else json.dumps(body)
    answer = asked(identity, "POST", PREDICT, content=text)
    assert 400 <= answer.status_code < 500
    assert sentence in answer.json()["error"]


def test_readiness_is_told_by_name(identity: Path) -> None:
    ready = asked(identity, "GET", "/v1/models/tiny")
    assert ready.json() == {"name": "tiny", "ready": True}
    assert asked(identity, "GET", "/v1/models").json() == {"models": ["tiny"]}
    missing = asked(identity, "GET", "/v1/models/other")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


def test_numbers_that_are_not_finite_are_words(tmp_path: Path) -> None:
    model = onnx_models.save(
        tmp_path / "m.onnx",
        [make_node("Log", ["x"], ["y"])],
        {"x": (onnx_models.FLOAT, ("N", 2))},
        {"y": (onnx_models.FLOAT, ("N", 2))},
    )
    answer = asked(model, "POST", PREDICT, json={"instances": [[0, 1]]})
    assert answer.json() == {"predictions": [["-Infinity", np.float32(0).item()]]}
