from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hookline.core.errors import InvalidInput, InvalidOutput
from hookline.runtime.backends.tensors import TensorSpec
from hookline.runtime.fitting import Array
from hookline.runtime.formatters import as_vector, formatter_for
from hookline.runtime.items import Answer
from hookline.runtime.rendering import answer_from

VECTOR = np.array([0.1, 0.7, 0.2], np.float32)
TWO_FLOATS = (TensorSpec("a", "float32", (-1, 3)), TensorSpec("b", "float32", (-1, 3)))
LABEL_AND_SCORES = (TensorSpec("label", "int64", (-1,)), TensorSpec("p", "float32", (-1, 3)))


def raw(output: Any, **args: Any) -> str:
    return formatter_for("raw", args)(output, b"").body.decode()


def classified(output: Any, labels: tuple[str, ...] = (), **args: Any) -> list[dict[str, Any]]:
    answer = formatter_for("classification", args, labels)(output, b"")
    assert answer.mime_type == "application/json"
    predictions: list[dict[str, Any]] = json.loads(answer.body)["predictions"]
    return predictions


def test_raw_json_is_the_seeds_to_the_byte() -> None:
    one_hot = np.eye(10, dtype=np.float32)[4]
    assert raw(one_hot) == (
        '{"outputs": [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], "shape": [10, 1]}'
    )


def test_raw_delimited_is_the_seeds_to_the_byte() -> None:
    values = np.array([0.12345, 0.212, 0.1005, 0.01238, 0.55167], np.float32)
    assert raw(values, format_as="csv") == "0.12345, 0.212, 0.1005, 0.01238, 0.55167"
    assert raw(values, format_as="tsv") == "0.12345\t0.212\t0.1005\t0.01238\t0.55167"


@pytest.mark.parametrize(
    ("format_as", "mime_type"),
    [("json", "application/json"), ("csv", "text/csv"), ("tsv", "text/tab-separated-values")],
)
def test_raw_names_its_mime_type(format_as: str, mime_type: str) -> None:
    assert formatter_for("raw", {"format_as": format_as})(VECTOR, b"").mime_type == mime_type


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (np.array([[1, 2], [3, 4]]), '{"outputs": [[1, 2], [3, 4]], "shape": [2, 2]}'),
        (np.array(3.5), '{"outputs": [3.5], "shape": [1, 1]}'),
        (np.array([True, False]), '{"outputs": [true, false], "shape": [2, 1]}'),
        (np.array(["é", 'a"b'], object), '{"outputs": ["é", "a\\"b"], "shape": [2, 1]}'),
        (np.array([], np.float32), '{"outputs": [], "shape": [0, 1]}'),
        ([0.5, 1], '{"outputs": [0.5, 1.0], "shape": [2, 1]}'),
        (
            {"a": VECTOR, "b": np.zeros((2, 2), np.int8)},
            (
                '{"outputs": {"a": [0.1, 0.7, 0.2], "b": [[0, 0], [0, 0]]}, '
                '"shape": {"a": [3, 1], "b": [2, 2]}}'
            ),
        ),
    ],
)
def test_raw_json_of_every_shape(output: Any, text: str) -> None:
    assert raw(output) == text


def test_raw_text_of_a_matrix_has_one_line_per_row() -> None:
    assert raw(np.array([[1, 2], [3, 4]]), format_as="csv") == "1, 2\n3, 4"
    assert raw({"a": VECTOR, "b": np.array([1])}, format_as="tsv") == "0.1\t0.7\t0.2\n1"


def test_text_that_holds_a_delimiter_is_quoted() -> None:
    assert raw(np.array(["a,b", 'c"d', "e"], object), format_as="csv") == '"a,b", "c""d", e'


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_written_as_briefly_as_they_read_back(dtype: type) -> None:
    values: Array = np.array([0.1, 1 / 3, -0.0, 1e-7, 6e4], dtype)
    assert raw(values).startswith('{"outputs": [0.1, 0.33')
    assert np.array_equal(np.array(json.loads(raw(values))["outputs"]).astype(dtype), values)


def test_numbers_that_are_not_finite_have_one_form_everywhere() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 1], np.float32)
    assert json.loads(raw(values))["outputs"] == ["NaN", "Infinity", "-Infinity", 1.0]
    assert raw(values, format_as="csv") == "NaN, Infinity, -Infinity, 1.0"
    assert raw(values, format_as="tsv") == "NaN\tInfinity\t-Infinity\t1.0"
    assert [p["probability"] for p in classified(values, num_preds=4)] == [
        "Infinity",
        1.0,
        "-Infinity",
        "NaN",
    ]
    in_a_hook = answer_from({"a": float("nan"), "b": [np.float32("inf")], "c": values[:1]})
    assert json.loads(in_a_hook.body) == {"a": "NaN", "b": ["Infinity"], "c": ["NaN"]}


@pytest.mark.parametrize("output", [[[1], [2, 3]], np.array([object()]), np.array([1j]), None])
def test_an_output_that_is_no_tensor_is_the_hooks_fault(output: Any) -> None:
    with pytest.raises(InvalidOutput):
        raw(output)


def test_a_row_and_a_column_are_vectors() -> None:
    assert as_vector(VECTOR[None]).shape == (3,)
    assert as_vector(VECTOR[:, None]).shape == (3,)
    assert as_vector({"a": VECTOR[None]})["a"].shape == (3,)
    assert as_vector(np.zeros((2, 2))).shape == (2, 2)


def test_classification_answers_the_seeds_members_highest_first() -> None:
    answer = formatter_for(
        "classification", {"num_preds": 2, "label": True, "index": True}, ("a", "b", "c")
    )(VECTOR, b"")
    assert answer.body == (
        b'{"predictions": [{"probability": 0.7, "label": "b", "index": 1}, '
        b'{"probability": 0.2, "label": "c", "index": 2}]}'
    )


def test_classification_defaults_to_the_best_probability() -> None:
    assert classified(VECTOR) == [{"probability": 0.7}]


def test_classification_can_leave_the_probability_out() -> None:
    assert classified(VECTOR, probability=False, index=True) == [{"index": 1}]


def test_more_predictions_than_classes_gives_all() -> None:
    assert len(classified(VECTOR, num_preds=99)) == 3


def test_equal_scores_keep_the_order_of_the_classes() -> None:
    found = classified(np.ones(4, np.uint8), num_preds=3, index=True)
    assert [p["index"] for p in found] == [0, 1, 2]


def test_a_class_beyond_the_labels_has_none() -> None:
    assert classified(VECTOR, ("a",), label=True)[0]["label"] is None


@pytest.mark.parametrize("output", [VECTOR[None], VECTOR[:, None], {"p": VECTOR}])
def test_classification_finds_the_scores(output: Any) -> None:
    answer = formatter_for("classification", {"output": "p"})(output, b"")
    assert json.loads(answer.body) == {"predictions": [{"probability": 0.7}]}


def test_classification_takes_the_only_float_output() -> None:
    answer = formatter_for("classification", {}, (), LABEL_AND_SCORES)(
        {"label": np.array(1), "p": VECTOR}, b""
    )
    assert json.loads(answer.body) == {"predictions": [{"probability": 0.7}]}


@pytest.mark.parametrize("output", [np.zeros((2, 2)), np.array(["a"]), {"q": VECTOR}])
def test_classification_refuses_what_are_not_scores(output: Any) -> None:
    with pytest.raises(InvalidOutput):
        formatter_for("classification", {"output": "p"})(output, b"")


@pytest.mark.parametrize(
    ("name", "args", "says"),
    [
        ("raw", {"format_as": "xml"}, "format_as"),
        ("raw", {"format": "csv"}, "format_as"),
        ("classification", {"num_preds": 0}, "num_preds"),
        ("classification", {"num_preds": "3"}, "num_preds"),
        ("classification", {"num_preds": True}, "num_preds"),
        ("classification", {"top": 3}, "num_preds"),
        ("classification", {"label": 1}, "label"),
        ("classification", {"label": True}, "the model has none"),
        ("classification", {"probability": False}, "nothing to show"),
    ],
)
def test_arguments_that_cannot_be_followed_are_refused_at_load(
    name: str, args: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        formatter_for(name, args)


@pytest.mark.parametrize("args", [{}, {"output": "c"}])
def test_which_output_holds_the_scores_must_be_clear_at_load(args: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="a, b"):
        formatter_for("classification", args, (), TWO_FLOATS)


@pytest.mark.parametrize(
    ("value", "body", "mime_type"),
    [
        ("é", "é".encode(), "text/plain; charset=utf-8"),
        (np.str_("a"), b"a", "text/plain; charset=utf-8"),
        (b"\xff", b"\xff", "application/octet-stream"),
        (bytearray(b"a"), b"a", "application/octet-stream"),
        ({"a": [1, 2.5, None]}, b'{"a": [1, 2.5, null]}', "application/json"),
        (("a", 1), b'["a", 1]', "application/json"),
        (7, b"7", "application/json"),
        (np.int64(7), b"7", "application/json"),
        (np.float32(0.1), b"0.1", "application/json"),
        (np.bool_(True), b"true", "application/json"),
        (VECTOR, b"[0.1, 0.7, 0.2]", "application/json"),
        ({"a": VECTOR[:1]}, b'{"a": [0.1]}', "application/json"),
        (Answer(b"x", "image/png"), b"x", "image/png"),
    ],
)
def test_what_postprocess_returns_is_sent_as_is(value: Any, body: bytes, mime_type: str) -> None:
    assert answer_from(value) == Answer(body, mime_type)


def circular() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "None"),
        ({1, 2}, "set"),
        ((x for x in "ab"), "generator"),
        (object(), "object"),
        ({"a": object()}, "dict"),
        ({(1, 2): 3}, "dict"),
        ("\ud800", "Unicode"),
        (circular(), "contains itself"),
    ],
)
def test_what_cannot_be_sent_is_named(value: Any, says: str) -> None:
    with pytest.raises(InvalidOutput, match=says):
        answer_from(value)
