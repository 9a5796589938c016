from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hookline.core.errors import HooklineError, InvalidInput, ModelLoadFailed
from hookline.runtime.backends.tensors import TensorSpec
from hookline.runtime.items import Answer, Item
from hookline.runtime.model import Model
from hookline.runtime.pipeline import Pipeline
from hookline.runtime.spec import Padding, PipelineSpec
from tests import onnx_models

Array = np.ndarray[Any, Any]
UP_TO_EIGHT = Padding(buckets=(4, 8))


def pipeline(path: Path, padding: Padding | None = UP_TO_EIGHT, **more: Any) -> Pipeline:
    return Pipeline.load(PipelineSpec(model_path=str(path), padding=padding, **more))


def answers(loaded: Pipeline, *values: Any) -> list[Any]:
    items = [Item(json.dumps(value).encode(), "application/json") for value in values]
    return [
        outcome if isinstance(outcome, HooklineError) else json.loads(outcome.body)["outputs"]
        for outcome in loaded.run(items)
    ]


class Summing:
    """A backend of a model x: float [N, T] → y: float [N, T], y = x; it notes what it is fed."""

    def __init__(self, axes: tuple[str, ...] = ("", "")) -> None:
        self.inputs: Sequence[TensorSpec] = [TensorSpec("x", "float32", (-1, -1), axes)]
        self.outputs: Sequence[TensorSpec] = [TensorSpec("y", "float32", (-1, -1), axes)]
        self.metadata: Mapping[str, str] = {}
        self.fed: list[Array] = []

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        self.fed.append(feeds["x"])
        return [feeds["x"]]


def test_examples_of_different_lengths_share_a_batch() -> None:
    backend = Summing()
    model = Model(backend, padding=UP_TO_EIGHT)
    assert model.padder
    backend.fed.clear()
    examples = [model.padder.pad(model.fit([1.0] * length)) for length in (1, 3, 4)]
    model.predict_batch([padded.example for padded in examples])

    (fed,) = backend.fed
    assert fed.tolist() == [[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert [padded.length for padded in examples] == [1, 3, 4]


def test_every_bucket_is_run_before_the_model_is_ready() -> None:
    backend = Summing()
    model = Model(backend, padding=Padding(buckets=(4, 8, 32)))
    backend.fed.clear()
    model.warm_up()

    assert [fed.shape for fed in backend.fed] == [(1, 4), (1, 8), (1, 32)]


def test_batches_are_sized_by_the_largest_bucket() -> None:
    backend = Summing()
    model = Model(backend, padding=UP_TO_EIGHT)
    backend.fed.clear()
    model.worthwhile_items(4)

    assert {fed.shape[1] for fed in backend.fed} == {8}


def test_outputs_are_cut_back_on_every_axis_that_was_padded(tmp_path: Path) -> None:
    (answer,) = answers(pipeline(onnx_models.sums(tmp_path / "m.onnx")), [1.0, 2.0])

    assert answer == {"sum": [3.0], "pairs": [[2.0, 3.0], [3.0, 4.0]]}


def test_an_output_whose_axis_has_another_name_is_cut_too(tmp_path: Path) -> None:
    loaded = pipeline(onnx_models.attended(tmp_path / "m.onnx"))
    (answer,) = answers(loaded, {"tokens": [2, 4, 9], "mask": [1, 1, 0]})

    assert answer == {"mean": [3.0], "per_token": [2.0, 4.0, 0.0]}


def test_an_input_is_filled_up_with_its_own_value_and_a_mask_with_0(tmp_path: Path) -> None:
    padding = Padding(buckets=(4,), values={"tokens": 7})
    loaded = pipeline(onnx_models.attended(tmp_path / "m.onnx"), padding)
    model = loaded.model
    padded = model.padder.pad(model.fit({"tokens": [2.0, 4.0], "mask": [1.0, 1.0]}))

    assert padded.example["tokens"].tolist() == [2, 4, 7, 7]
    assert padded.example["mask"].tolist() == [1, 1, 0, 0]
    assert answers(loaded, {"tokens": [2, 4], "mask": [1, 1]})[0]["mean"] == [3.0]


def test_what_is_longer_than_every_bucket_runs_as_it_is(tmp_path: Path) -> None:
    loaded = pipeline(onnx_models.embedding(tmp_path / "m.onnx"))
    short, long = answers(loaded, [1, 2], [1] * 9)

    assert short == [[2.0, 3.0], [4.0, 5.0]]
    assert len(long) == 9


def test_an_empty_example_is_padded_too(tmp_path: Path) -> None:
    loaded = pipeline(onnx_models.sums(tmp_path / "m.onnx"), Padding(buckets=(2,), values={"x": 5}))
    (outcome,) = loaded.run([Item(b"[]", "application/json")])

    assert isinstance(outcome, Answer)
    assert json.loads(outcome.body)["outputs"] == {"sum": [10.0], "pairs": []}


def test_an_example_whose_inputs_disagree_fails_alone(tmp_path: Path) -> None:
    loaded = pipeline(onnx_models.attended(tmp_path / "m.onnx"))
    good, bad = {"tokens": [2], "mask": [1]}, {"tokens": [2, 3], "mask": [1]}
    first, refused, last = answers(loaded, good, bad, good)

    assert first == last == {"mean": [2.0], "per_token": [2.0]}
    assert isinstance(refused, InvalidInput)
    assert "different lengths: [1, 2]" in str(refused)


def test_nothing_is_padded_unless_asked(tmp_path: Path) -> None:
    (answer,) = answers(pipeline(onnx_models.sums(tmp_path / "m.onnx"), None), [1.0, 2.0])
    loaded = pipeline(onnx_models.sums(tmp_path / "m.onnx"), Padding(buckets=(4,), values={"x": 1}))

    assert answer["sum"] == [3.0]
    assert answers(loaded, [1.0, 2.0])[0]["sum"] == [5.0]


@pytest.mark.parametrize(("axis", "lengths"), [("W", [4, 3]), ("3", [4, 3]), ("H", [3, 4])])
def test_the_axis_is_named_or_numbered_where_several_are_variable(
    tmp_path: Path, axis: str, lengths: list[int]
) -> None:
    path = onnx_models.identity(tmp_path / "m.onnx", ("N", 1, "H", "W"))
    model = pipeline(path, Padding(buckets=(4,), axis=axis)).model
    padded = model.padder.pad(model.fit(np.ones((1, 3, 3), np.float32)))

    assert list(padded.example["x"].shape[1:]) == lengths[::-1]


@pytest.mark.parametrize(
    ("model", "padding", "words"),
    [
        (onnx_models.linear, Padding(buckets=(4,)), "no variable axis"),
        (onnx_models.sums, Padding(buckets=(4,), axis="S"), "no variable axis S"),
        (onnx_models.sums, Padding(buckets=(4,), axis="0"), "no variable axis 0"),
        (onnx_models.sums, Padding(buckets=(4,), values={"y": 1}), "no input y"),
        (onnx_models.doubled, Padding(buckets=(4,)), "The output y cannot be cut back"),
        (onnx_models.embedding, Padding(buckets=(4,), values={"tokens": 0.5}), "padded with 0.5"),
        (onnx_models.embedding, Padding(buckets=(4,), values={"tokens": 9}), "nothing but padding"),
    ],
)
def test_what_cannot_be_padded_is_refused_at_the_start(
    tmp_path: Path, model: Any, padding: Padding, words: str
) -> None:
    with pytest.raises(ModelLoadFailed) as failed:
        pipeline(model(tmp_path / "m.onnx"), padding)

    assert words in str(failed.value)


def test_several_variable_axes_must_be_told_apart(tmp_path: Path) -> None:
    path = onnx_models.identity(tmp_path / "m.onnx", ("N", 1, "H", "W"))
    with pytest.raises(ModelLoadFailed, match="several variable axes: H, W"):
        pipeline(path)


@pytest.mark.parametrize("hook", ["init(model_path)", "predict(data, model)"])
def test_buckets_are_refused_where_hooks_predict_themselves(tmp_path: Path, hook: str) -> None:
    path = onnx_models.sums(tmp_path / "m.onnx")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(f"def {hook}: ...\n")
    with pytest.raises(InvalidInput, match="nothing would be padded"):
        pipeline(path, code_dir=str(tmp_path / "code"))


def test_what_a_preprocess_hook_makes_is_padded(tmp_path: Path) -> None:
    path = onnx_models.sums(tmp_path / "m.onnx")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(
        "import numpy as np\ndef preprocess(input, model):\n    return np.ones(len(input))\n"
    )
    padding = Padding(buckets=(8,), values={"x": 1})
    loaded = pipeline(path, padding, code_dir=str(tmp_path / "code"))

    assert answers(loaded, "ab")[0]["sum"] == [8.0]


def test_texts_are_padded_with_empty_ones(tmp_path: Path) -> None:
    path = onnx_models.identity(tmp_path / "m.onnx", ("N", "T"), onnx_models.STRING)
    loaded = pipeline(path)
    model = loaded.model
    padded = model.padder.pad(model.fit(np.array(["a"], object)))

    assert padded.example["x"].tolist() == ["a", "", "", ""]
    assert answers(loaded, ["a", "b"]) == [["a", "b"]]
