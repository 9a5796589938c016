"""Sequences of tokens are continued as an exhaustive search over all of them says."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hookline.core.errors import InvalidInput
from hookline.runtime.generation import Wish, _Beams, _chosen, _Ended
from hookline.runtime.items import Answer, Item
from hookline.runtime.model import Model
from hookline.runtime.pipeline import Pipeline
from hookline.runtime.spec import PipelineSpec
from tests import onnx_models

VOCABULARY, WIDTH, END = 4, 3, 0
CHANCE = np.random.default_rng(11)
WORDS = CHANCE.standard_normal((VOCABULARY, WIDTH)).astype(np.float32)
PLACES = CHANCE.standard_normal((16, WIDTH)).astype(np.float32)
HEAD = (3 * CHANCE.standard_normal((WIDTH, VOCABULARY))).astype(np.float32)
WEIGHTS = {
    "words": WORDS,
    "places": PLACES,
    "head": HEAD,
    "last": np.array([2]),
    "one": np.array([1]),
    "axis": np.array(1),
    "far": np.array([1 << 30]),
}
SCORES = [
    helper.make_node("Shape", ["values"], ["long"], start=0, end=2),
    helper.make_node("Reshape", ["ones", "long"], ["as_long"]),  # fails for another length
    helper.make_node("Unsqueeze", ["as_long", "last"], ["mask"]),
    helper.make_node("Mul", ["values", "mask"], ["seen"]),
    helper.make_node("CumSum", ["seen", "axis"], ["sums"]),
    helper.make_node("Tanh", ["sums"], ["states"]),
    helper.make_node("MatMul", ["states", "head"], ["all"]),
    helper.make_node("Shape", ["input_ids"], ["steps"], start=1, end=2),
    helper.make_node("Neg", ["steps"], ["begin"]),
    helper.make_node("Slice", ["all", "begin", "far", "one"], ["logits"]),
]
PROMPT = [1, 3]
SEEDS_HOOK = '''
def predict(data, model):
    """Generates prediction on data."""
    return model.get_outputs_beam(data, num_beams=2)
'''


def reference(tokens: list[int]) -> Any:
    """The log probabilities of the next token, as the models below compute them."""
    state = np.tanh((WORDS[tokens] + PLACES[: len(tokens)]).sum(axis=0))
    logits = (state @ HEAD).astype(np.float64)
    return logits - np.log(np.exp(logits).sum())


def best(steps: int, end: int | None = None) -> list[tuple[float, list[int]]]:
    """Every sequence, likeliest first; one that has its end counts up to it."""
    found = {}
    for tokens in product(range(VOCABULARY), repeat=steps):
        cut = list(tokens[: tokens.index(end) + 1] if end in tokens else tokens)
        total = sum(reference(PROMPT + cut[:at])[token] for at, token in enumerate(cut))
        found[tuple(token for token in cut if token != end)] = total
    return sorted(((total, list(key)) for key, total in found.items()), reverse=True)


def language_model(path: Path, *, has_past: bool, eos: str = "") -> Path:
    """Scores depend on all tokens before, their places, and a mask that must be as long."""
    past_name, present = "past_key_values.0.key", "present.0.key"
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["words_of"]),
        helper.make_node("Gather", ["places", "position_ids"], ["places_of"]),
        helper.make_node("Add", ["words_of", "places_of"], ["new"]),
        helper.make_node("Cast", ["attention_mask"], ["ones"], to=TensorProto.FLOAT),
    ]
    inputs: list[tuple[str, int, list[str | int]]] = [
        ("input_ids", TensorProto.INT64, ["N", "T"]),
        ("attention_mask", TensorProto.INT64, ["N", "W"]),
        ("position_ids", TensorProto.INT64, ["N", "T"]),
    ]
    outputs: list[tuple[str, int, list[str | int]]] = [
        ("logits", TensorProto.FLOAT, ["N", "T", VOCABULARY])
    ]
    if has_past:
        nodes += [
            helper.make_node("Unsqueeze", ["new", "one"], ["new_heads"]),
            helper.make_node("Concat", [past_name, "new_heads"], [present], axis=2),
            helper.make_node("Squeeze", [present, "one"], ["values"]),
        ]
        inputs.append((past_name, TensorProto.FLOAT, ["N", 1, "P", WIDTH]))
        outputs.append((present, TensorProto.FLOAT, ["N", 1, "W", WIDTH]))
    else:
        nodes.append(helper.make_node("Identity", ["new"], ["values"]))
    graph = helper.make_graph(
        [*nodes, *SCORES],
        "lm",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        [numpy_helper.from_array(value, name) for name, value in WEIGHTS.items()],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    helper.set_model_props(model, {"eos_token_id": eos} if eos else {})
    onnx.save(model, path)
    return path


@pytest.fixture(params=[False, True], ids=["whole sequences", "past keys and values"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    path = language_model(tmp_path / "lm.onnx", has_past=request.param)
    return Model.load(PipelineSpec(model_path=str(path), threads=1))


def test_one_beam_takes_the_likeliest_token_each_time(model: Model) -> None:
    wanted = list(PROMPT)
    for _ in range(6):
        wanted.append(int(reference(wanted).argmax()))

    assert model.generate(PROMPT, max_tokens=6).tolist() == [wanted[2:]]


def test_enough_beams_find_the_likeliest_of_all_sequences(model: Model) -> None:
    found = model.generate(PROMPT, max_tokens=4, num_beams=64)
    assert found.tolist() == [tokens for _, tokens in best(4)[:64]]


def test_a_sequence_may_end_before_the_others(model: Model) -> None:
    wanted = [tokens for _, tokens in best(4, END)[:20]]
    assert len({len(tokens) for tokens in wanted}) > 1

    found = model.generate(PROMPT, max_tokens=4, num_beams=128, end=END)[:20]

    longest = max(map(len, found.tolist()))
    assert found.tolist() == [tokens + [END] * (longest - len(tokens)) for tokens in wanted]


def test_it_stops_when_nothing_better_can_come(model: Model) -> None:
    found = model.generate(PROMPT, max_tokens=12, num_beams=2, end=END)
    assert found.shape[1] < 12
    assert len(found) == 2


def test_the_metadata_may_say_what_ends_a_sequence(tmp_path: Path) -> None:
    path = language_model(tmp_path / "lm.onnx", has_past=True, eos=str(END))
    model = Model.load(PipelineSpec(model_path=str(path), threads=1))
    told = model.generate(PROMPT, max_tokens=8, num_beams=3, end=END)
    assert model.generate(PROMPT, max_tokens=8, num_beams=3).tolist() == told.tolist()


def test_as_many_beams_go_on_however_many_end() -> None:
    one = _Beams(np.zeros((1, 0), np.int64), np.zeros(1), {})
    ended, wish = _Ended(2), Wish(num_beams=2, end=END)

    found = _chosen(one, np.log([[0.5, 0.3, 0.15, 0.05]]), {}, wish, ended)

    assert found.tokens.tolist() == [[1], [2]]
    ((total, tokens),) = ended.found
    assert total == pytest.approx(np.log(0.5))
    assert tokens == []


@pytest.mark.parametrize("tokens", [[], [1.5], [[1, 2], [3, 4]], 5])
def test_what_is_no_sequence_is_not_continued(tokens: Any, model: Model) -> None:
    with pytest.raises(InvalidInput, match="The tokens to continue are"):
        model.generate(tokens)


@pytest.mark.parametrize("wish", [{"num_beams": 0}, {"max_tokens": 0}])
def test_there_is_at_least_one_beam_and_one_step(wish: dict[str, int], model: Model) -> None:
    with pytest.raises(InvalidInput, match="is 0"):
        model.generate(PROMPT, **wish)


def test_a_model_of_images_generates_nothing(tmp_path: Path) -> None:
    path = onnx_models.convolution(tmp_path / "m.onnx")
    with pytest.raises(InvalidInput, match="does not continue sequences of tokens"):
        Model.load(PipelineSpec(model_path=str(path))).generate([1])


def hooked(path: Path, code: str) -> Pipeline:
    folder = path.parent / "code"
    folder.mkdir()
    (folder / "inference.py").write_text(code)
    return Pipeline.load(
        PipelineSpec(model_path=str(path), code_dir=str(folder), formatter="tokens")
    )


def test_the_seeds_beam_search_runs_unchanged_on_scores(tmp_path: Path) -> None:
    pipeline = hooked(onnx_models.token_scores(tmp_path / "m.onnx"), SEEDS_HOOK)
    (spec,) = pipeline.model.inputs
    shape = [2 if size < 0 else size for size in spec.shape[1:]]
    scores = np.random.default_rng(2).standard_normal(shape)

    (answer,) = pipeline.run([Item(str(scores.tolist()).encode(), "application/json")])

    wanted = pipeline.model.get_outputs_beam(scores.astype(np.float32), num_beams=2)
    assert isinstance(answer, Answer), answer
    assert answer.body == str({"tokens": wanted.tolist()}).replace("'", '"').encode()


def test_the_seeds_beam_search_runs_unchanged_on_a_model_with_a_past(tmp_path: Path) -> None:
    path = language_model(tmp_path / "lm.onnx", has_past=True, eos=str(END))
    reading = "import json\ndef preprocess(input, model):\n    return json.loads(input)\n"
    pipeline = hooked(path, reading + SEEDS_HOOK)

    (answer,) = pipeline.run([Item(str(PROMPT).encode(), "application/json")])

    wanted = pipeline.model.generate(PROMPT, num_beams=2).tolist()
    assert isinstance(answer, Answer), answer
    assert answer.body == str({"tokens": wanted}).replace("'", '"').encode()
