from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hookline.core.errors import InvalidInput
from hookline.core.metadata import labels_in
from hookline.runtime.beams import best_sequences
from hookline.runtime.model import Model
from hookline.runtime.spec import PipelineSpec, Preparation
from tests import onnx_models


def load(path: Path, **settings: Any) -> Model:
    return Model.load(PipelineSpec(model_path=str(path), threads=1, **settings))


@pytest.mark.parametrize(("layout", "shape"), [("NCHW", (-1, 3, 4, 5)), ("NHWC", (-1, 4, 5, 3))])
def test_in_shape_is_channels_first_for_images_of_either_layout(
    tmp_path: Path, layout: str, shape: tuple[int, ...]
) -> None:
    model = load(onnx_models.image_mean(tmp_path / "m.onnx", layout=layout))
    assert model.layers.in_shape == (3, 4, 5)
    assert model.inputs[0].shape == shape


def test_in_shape_leaves_out_a_fixed_batch_axis(tmp_path: Path) -> None:
    assert load(onnx_models.linear(tmp_path / "m.onnx", batch=1)).layers.in_shape == (4,)


def test_fprop_answers_in_the_form_of_the_question(tmp_path: Path) -> None:
    model = load(onnx_models.identity(tmp_path / "m.onnx"))
    batch = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    one, many, columns = model.fprop(batch[0]), model.fprop(batch), model.fprop(batch.T[:, :1])
    assert np.array_equal(one, batch[0])
    assert np.array_equal(many, batch)
    assert np.array_equal(columns, batch[:1].T)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_seeds_column_of_an_image_is_understood(tmp_path: Path, layout: str) -> None:
    model = load(onnx_models.image_mean(tmp_path / "m.onnx", layout=layout))
    image = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    means = image.mean(axis=(1, 2))
    assert np.allclose(model.fprop(image.reshape(-1, 1)), means[:, None])
    assert np.allclose(model.fprop(image), means)
    assert np.allclose(model.fprop(image[None]), means[None])


def test_run_takes_and_gives_tensors_by_name(tmp_path: Path) -> None:
    model = load(onnx_models.two_in_two_out(tmp_path / "m.onnx"))
    one = model.run({"a": [1, 2], "b": np.array([1.0, 1.0])})
    many = model.run({"a": [[1, 2]], "b": [[1, 1]]})
    assert {name: value.tolist() for name, value in one.items()} == {
        "total": [2, 3],
        "difference": [0, 1],
    }
    assert many["total"].tolist() == [[2, 3]]


def test_several_outputs_come_as_a_dict(tmp_path: Path) -> None:
    model = load(onnx_models.two_in_two_out(tmp_path / "m.onnx"))
    assert set(model.fprop({"a": [1, 2], "b": [1, 1]})) == {"total", "difference"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"a": [1, 2]}, "Missing: b"),
        ({"a": [1, 2], "b": [1, 2], "c": [1, 2]}, "Unknown: c"),
        ({"a": [[1, 2], [1, 2]], "b": [1, 2]}, "different numbers of examples"),
        ([1, 2], "keyed by name: a, b"),
    ],
)
def test_inputs_that_do_not_match_the_model_are_named(tmp_path: Path, data: Any, says: str) -> None:
    model = load(onnx_models.two_in_two_out(tmp_path / "m.onnx"))
    with pytest.raises(InvalidInput, match=says):
        model.fprop(data)


def test_a_shape_that_does_not_fit_names_both_shapes(tmp_path: Path) -> None:
    model = load(onnx_models.image_mean(tmp_path / "m.onnx"))
    with pytest.raises(InvalidInput) as caught:
        model.fit(np.zeros((3, 9, 9)))
    assert "[3, 9, 9]" in caught.value.what
    assert "[3, 4, 5]" in caught.value.why


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        (np.array([1.0, 2.0]), True),
        (np.array([True, False]), True),
        (np.array([1.5, 2.0]), False),
        (np.array([2**63, 0], np.uint64), False),
        (np.array([np.nan, 0.0]), False),
        (np.array(["1", "2"]), False),
        (np.array([1j, 2j]), False),
        (np.array([None, 2]), False),
    ],
)
def test_a_cast_to_whole_numbers_must_lose_nothing(
    tmp_path: Path,
    given: Any,
    fits: bool,  # noqa: FBT001 - a table
) -> None:
    model = load(onnx_models.identity(tmp_path / "m.onnx", ("N", 2), onnx_models.INT64))
    if fits:
        assert model.fit(given)["x"].dtype == np.int64
    else:
        with pytest.raises(InvalidInput):
            model.fit(given)


def test_a_cast_to_smaller_floats_may_round_but_not_overflow(tmp_path: Path) -> None:
    model = load(onnx_models.identity(tmp_path / "m.onnx"))
    assert model.fit([0.1, np.inf, 1])["x"].tolist() == [np.float32(0.1), np.inf, 1]
    with pytest.raises(InvalidInput, match="too large for float32"):
        model.fit([0.1, 1e39, 1])


def test_beams_are_the_likeliest_sequences(tmp_path: Path) -> None:
    model = load(onnx_models.token_scores(tmp_path / "m.onnx"))
    logits = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
    beams = model.get_outputs_beam(logits, num_beams=4)
    for scores, found in zip(logits, beams, strict=True):
        every = list(itertools.product(range(3), repeat=2))
        every.sort(key=lambda tokens: -sum(scores[at, token] for at, token in enumerate(tokens)))
        assert [tuple(beam) for beam in found.tolist()] == every[:4]
    assert model.get_outputs_beam(logits[0], num_beams=2).shape == (2, 2)


def test_beams_of_probabilities_multiply_them() -> None:
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1]])
    assert best_sequences(probabilities, 9).tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]


def test_a_model_without_tokens_has_no_beams(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"\[N, T, V\]"):
        load(onnx_models.linear(tmp_path / "m.onnx")).get_outputs_beam(np.zeros((1, 4)))


@pytest.mark.parametrize(
    "text",
    ['["cat", "dog"]', "{1: 'dog', 0: 'cat'}", '{"0": "cat", "1": "dog"}', "cat\ndog", "cat, dog"],
)
def test_labels_are_read_in_every_common_form(text: str) -> None:
    assert labels_in({"names": text}) == ("cat", "dog")


def test_given_labels_win_over_the_models_own(tmp_path: Path) -> None:
    path = onnx_models.linear(tmp_path / "m.onnx", metadata={"labels": '["a", "b", "c"]'})
    assert load(path).labels == ("a", "b", "c")
    assert load(path, labels=("x", "y", "z")).labels == ("x", "y", "z")


def test_preparation_is_filled_up_from_the_model(tmp_path: Path) -> None:
    metadata = {"mean": "[1, 2, 3]", "scale": "0.5"}
    path = onnx_models.image_mean(tmp_path / "m.onnx", metadata=metadata)
    model = load(path, preparation=Preparation(scale=0.25))
    assert model.preparation == Preparation(mean=(1.0, 2.0, 3.0), scale=0.25)


def test_warming_up_never_fails(tmp_path: Path) -> None:
    load(onnx_models.convolution(tmp_path / "m.onnx")).warm_up()
    load(onnx_models.wrong_about_its_batch(tmp_path / "n.onnx")).warm_up()
    load(onnx_models.text(tmp_path / "t.onnx")).warm_up()
