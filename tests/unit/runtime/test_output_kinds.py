"""How values, vectors, tokens and boxes are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hookline.core.errors import InvalidInput, InvalidOutput
from hookline.core.formatting import ARGUMENTS, check_args
from hookline.runtime.formatters import formatter_for
from hookline.runtime.items import Answer, Item
from hookline.runtime.pipeline import Pipeline
from hookline.runtime.spec import PipelineSpec
from tests import onnx_models

LABELS = ("cat", "dog", "cow")
BOXES: Any = np.array(
    [[0, 0, 1, 1, 0.6, 1], [2, 2, 3, 3, 0.9, 0], [4, 4, 5, 5, 0.2, 2]], np.float32
)


def written(name: str, given: Any, /, **args: Any) -> Any:
    return json.loads(formatter_for(name, args, LABELS)(given, b"").body)


def test_values_have_their_names() -> None:
    output = np.array([1.5, 2], np.float32)
    assert written("regression", output) == {"values": [{"value": 1.5}, {"value": 2.0}]}
    named = written("regression", output, label=True)
    assert named["values"][1] == {"label": "dog", "value": 2.0}


def test_a_single_value_is_a_list_of_one() -> None:
    assert written("regression", np.array(3.0)) == {"values": [{"value": 3.0}]}


def test_a_vector_is_written_with_its_size_and_made_one_long_if_asked() -> None:
    output = np.array([3, 4], np.float32)
    assert written("embedding", output) == {"embedding": [3.0, 4.0], "dimensions": 2}
    assert written("embedding", output, normalize=True)["embedding"] == [0.6, 0.8]
    assert written("embedding", np.zeros(2), normalize=True)["embedding"] == [0.0, 0.0]


def test_tokens_are_those_of_the_model_or_the_best_of_each_step() -> None:
    assert written("tokens", np.array([2, 0])) == {"tokens": [2, 0]}
    scores = np.array([[0.1, 0.7, 0.2], [0.9, 0.1, 0.0]])
    assert written("tokens", scores, label=True) == {"tokens": [1, 0], "text": "dog cat"}


def test_a_sequence_ends_before_its_end() -> None:
    assert written("tokens", np.array([2, 1, 0, 1]), end=0)["tokens"] == [2, 1]
    assert written("tokens", np.array([2, 1]), end=0)["tokens"] == [2, 1]


def test_beams_are_a_list_of_sequences() -> None:
    found = written("tokens", np.array([[2, 1], [0, 1]]), end=1, label=True, separator="-")
    assert found == {"tokens": [[2], [0]], "text": ["cow", "cat"]}


def test_boxes_come_best_first_and_only_good_ones() -> None:
    found = written("boxes", BOXES, label=True)["boxes"]
    assert [each["label"] for each in found] == ["cat", "dog"]
    assert found[0] == {"box": [2.0, 2.0, 3.0, 3.0], "score": 0.9, "index": 0, "label": "cat"}
    assert len(written("boxes", BOXES, max_boxes=1, min_score=0)["boxes"]) == 1


@pytest.mark.parametrize(
    ("scores", "extra"),
    [
        (BOXES[:, 4], {"indices": "classes"}),
        (np.eye(3, dtype=np.float32)[[1, 0, 2]] * BOXES[:, 4:5], {}),
    ],
)
def test_boxes_may_be_in_outputs_of_their_own(scores: Any, extra: Mapping[str, str]) -> None:
    output = {"places": BOXES[:, :4], "scores": scores, "classes": BOXES[:, 5].astype(np.int64)}
    found = written("boxes", output, output="places", scores="scores", **extra)
    assert found == written("boxes", BOXES)


def test_no_box_is_an_empty_list() -> None:
    assert written("boxes", np.empty((0, 6), np.float32)) == {"boxes": []}


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("regression", np.array(["a"], object)),
        ("tokens", np.zeros((2, 2, 2), np.int64)),
        ("tokens", np.zeros(3, np.float32)),
        ("boxes", np.zeros((2, 5), np.float32)),
        ("embedding", {"a": np.zeros(2), "b": np.zeros(2)}),
    ],
)
def test_what_is_no_such_output_is_refused(name: str, output: Any) -> None:
    with pytest.raises(InvalidOutput) as error:
        written(name, output)
    assert error.value.hint


def test_labels_of_a_model_without_any_are_refused() -> None:
    with pytest.raises(InvalidInput, match="The boxes formatter cannot show labels"):
        formatter_for("boxes", {"label": True})


@pytest.mark.parametrize(
    ("name", "args", "sentence"),
    [
        ("boxes", {"min_score": 2}, "cannot take min_score = 2"),
        ("tokens", {"end": -1}, "cannot take end = -1"),
        ("embedding", {"label": True}, "has no argument 'label'"),
        ("boxes", {"scores": "nothing"}, "has no output 'nothing'"),
        ("regression", {"label": True}, "cannot show labels"),
        ("regression", {}, "cannot tell which output to write"),
    ],
)
def test_arguments_are_checked_where_they_are_given(
    name: str, args: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        check_args(name, args, has_labels=False, outputs={"a": "float32", "b": "float32"})


def test_both_checks_know_the_same_formatters() -> None:
    for name in ARGUMENTS:
        formatter_for(name, {}, LABELS)


@pytest.mark.parametrize(("name", "row"), [("boxes", [0, 0, 1, 1, 0.9, 2]), ("tokens", [5])])
def test_a_matrix_of_one_row_from_a_hook_stays_one(
    name: str, row: list[float], tmp_path: Path
) -> None:
    code = f"import numpy\ndef predict(data, model):\n    return numpy.array([{row}])\n"
    (tmp_path / "inference.py").write_text(code)
    path = onnx_models.linear(tmp_path / "m.onnx")
    spec = PipelineSpec(model_path=str(path), code_dir=str(tmp_path), formatter=name)  # type: ignore[arg-type]  # one of the names

    (answer,) = Pipeline.load(spec).run([Item(b"[1, 2, 3]", "application/json")])

    assert isinstance(answer, Answer), answer
    (first,) = json.loads(answer.body)[name]
    assert first == ([5] if name == "tokens" else {"box": [0, 0, 1, 1], "score": 0.9, "index": 2})
