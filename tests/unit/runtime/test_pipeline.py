from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from hookline.core.errors import (
    HookFailed,
    InvalidInput,
    InvalidOutput,
    ModelLoadFailed,
    UnsupportedMediaType,
)
from hookline.runtime import logs
from hookline.runtime.pipeline import Answer, Item, Outcome, Pipeline
from hookline.runtime.spec import PipelineSpec
from tests import onnx_models
from tests.unit.runtime.conftest import WriteBundle

JSON = "application/json"


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    return onnx_models.identity(tmp_path / "m.onnx")


def load(model_path: Path, code_dir: Path | str = "", **settings: Any) -> Pipeline:
    return Pipeline.load(
        PipelineSpec(model_path=str(model_path), code_dir=str(code_dir), threads=1, **settings)
    )


def items(*bodies: bytes | str) -> list[Item]:
    return [Item(body.encode() if isinstance(body, str) else body, JSON) for body in bodies]


def answers(outcomes: list[Outcome]) -> list[Any]:
    """What was answered, as values; the class of the error for what was not."""
    return [
        json.loads(outcome.body) if isinstance(outcome, Answer) else type(outcome)
        for outcome in outcomes
    ]


def test_without_hooks_everything_is_canned(model_path: Path) -> None:
    (outcome,) = load(model_path).run(items("[1, 2, 3]"))
    assert outcome == Answer(b'{"outputs": [1.0, 2.0, 3.0], "shape": [3, 1]}', JSON)


def test_nothing_in_gives_nothing_out(model_path: Path) -> None:
    assert load(model_path).run([]) == []


def test_a_bad_item_fails_alone(model_path: Path) -> None:
    outcomes = load(model_path).run(
        [*items("[1, 2, 3]", "oops", "[4, 5, 6]"), Item(b"", "audio/midi"), *items("[1]")]
    )
    assert [type(outcome) for outcome in outcomes] == [
        Answer,
        InvalidInput,
        Answer,
        UnsupportedMediaType,
        InvalidInput,
    ]


def test_only_the_culprits_of_a_failing_batch_fail(tmp_path: Path) -> None:
    pipeline = load(onnx_models.embedding(tmp_path / "e.onnx"))
    outcomes = pipeline.run(items(*(f"[{token}]" for token in [0, 9, 1, 2, 9, 3, 0])))
    assert answers(outcomes) == [
        {"outputs": [[2.0 * token, 2.0 * token + 1]], "shape": [1, 2]}
        if token < 4
        else InvalidInput
        for token in [0, 9, 1, 2, 9, 3, 0]
    ]


def test_items_of_different_shapes_are_answered_in_order(tmp_path: Path) -> None:
    pipeline = load(onnx_models.embedding(tmp_path / "e.onnx"))
    outcomes = pipeline.run(items("[0]", "[1, 2]", "[3]", "[1, 1, 1]", "[0, 3]"))
    shapes = [answer["shape"] for answer in answers(outcomes)]
    assert shapes == [[1, 2], [2, 2], [1, 2], [3, 2], [2, 2]]
    assert answers(outcomes)[2]["outputs"] == [[6.0, 7.0]]


def test_a_model_that_only_takes_one_is_run_one_by_one(tmp_path: Path) -> None:
    outcomes = load(onnx_models.wrong_about_its_batch(tmp_path / "m.onnx")).run(
        items("[1, 2, 3]", "[4, 5, 6]", "[7, 8, 9]")
    )
    assert [answer["outputs"] for answer in answers(outcomes)] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_the_four_hooks_of_the_seed_run_in_order(
    write_bundle: WriteBundle, model_path: Path
) -> None:
    code_dir = write_bundle(
        """
        import numpy
        from hookline.runtime.model import Model
        from hookline.runtime.spec import PipelineSpec

        def init(prm):
            return Model.load(PipelineSpec(model_path=prm))

        def preprocess(input, model):
            return numpy.frombuffer(input, numpy.uint8).astype("float32").reshape(-1, 1)

        def predict(data, model):
            return model.fprop(data) * 2

        def postprocess(output, raw_input):
            return f"{raw_input.decode()}: {output.ravel().tolist()}"
        """
    )
    (outcome,) = load(model_path, code_dir).run([Item(b"abc", "application/x-anything")])
    assert outcome == Answer(b"abc: [194.0, 196.0, 198.0]", "text/plain; charset=utf-8")


@pytest.mark.parametrize("shape", ["(3,)", "(1, 3)", "(3, 1)"])
def test_a_preprocess_hook_may_return_an_example_a_batch_of_one_or_a_column(
    write_bundle: WriteBundle, model_path: Path, shape: str
) -> None:
    code_dir = write_bundle(
        f"""
        import numpy
        def preprocess(input, model): return numpy.arange(3).reshape({shape})
        """
    )
    assert (
        answers(load(model_path, code_dir).run(items("", "")))
        == [{"outputs": [0.0, 1.0, 2.0], "shape": [3, 1]}] * 2
    )


@pytest.mark.parametrize("expression", ["data", "data[None]", "data.reshape(-1, 1)"])
def test_a_predict_hook_may_keep_a_batch_axis_or_a_column(
    write_bundle: WriteBundle, model_path: Path, expression: str
) -> None:
    code_dir = write_bundle(f"def predict(data, model): return model.fprop({expression})")
    canned = load(model_path).run(items("[1, 2, 3]"))
    assert load(model_path, code_dir).run(items("[1, 2, 3]")) == canned


def test_a_preprocess_hook_may_name_its_inputs(write_bundle: WriteBundle, tmp_path: Path) -> None:
    code_dir = write_bundle("def preprocess(input, model): return {'a': [1, 2], 'b': [1, 1]}")
    pipeline = load(onnx_models.two_in_two_out(tmp_path / "t.onnx"), code_dir)
    (answer,) = answers(pipeline.run(items("")))
    assert answer["outputs"] == {"total": [2.0, 3.0], "difference": [0.0, 1.0]}


def test_a_preprocess_hook_that_does_not_fit_is_at_fault_itself(
    write_bundle: WriteBundle, model_path: Path
) -> None:
    code_dir = write_bundle("def preprocess(input, model): return [1, 2]")
    (outcome,) = load(model_path, code_dir).run(items(""))
    assert isinstance(outcome, InvalidOutput)
    assert "[2]" in outcome.why
    assert "[3]" in outcome.why


def test_predict_batch_gets_the_whole_batch(write_bundle: WriteBundle, model_path: Path) -> None:
    code_dir = write_bundle(
        """
        def predict(data, model): raise AssertionError("predict_batch wins")
        def predict_batch(data, model): return [[len(data), x[0]] for x in data]
        """
    )
    outcomes = load(model_path, code_dir).run(items("[1, 2, 3]", "bad", "[4, 5, 6]"))
    assert [a["outputs"] if isinstance(a, dict) else a for a in answers(outcomes)] == [
        [2.0, 1.0],
        InvalidInput,
        [2.0, 4.0],
    ]


@pytest.mark.parametrize("result", ["data[1:]", "None", "'text'", "{0: 1}", "7"])
def test_predict_batch_must_give_one_output_per_input(
    write_bundle: WriteBundle, model_path: Path, result: str
) -> None:
    code_dir = write_bundle(f"def predict_batch(data, model): return {result}")
    outcomes = load(model_path, code_dir).run(items("[1, 2, 3]", "[4, 5, 6]"))
    assert answers(outcomes) == [InvalidOutput, InvalidOutput]
    assert "one output per input" in str(outcomes[0])


def test_a_poisoned_batch_hook_fails_only_the_poison(
    write_bundle: WriteBundle, model_path: Path
) -> None:
    code_dir = write_bundle(
        """
        def predict_batch(data, model):
            if any(x[0] < 0 for x in data):
                raise ValueError("a negative number")
            return data
        """
    )
    outcomes = load(model_path, code_dir).run(items(*(f"[{at}, 0, 0]" for at in (1, -1, 2, 3, -2))))
    assert [type(outcome) for outcome in outcomes] == [
        Answer,
        HookFailed,
        Answer,
        Answer,
        HookFailed,
    ]


@pytest.mark.parametrize(
    "fault",
    [
        "raise ValueError('no')",
        "raise SystemExit(1)",
        "raise KeyboardInterrupt",
        "raise GeneratorExit",
        "exit()",
        "return predict(data, model)",
        "return 1 / 0",
    ],
)
def test_whatever_a_hook_raises_is_that_items_failure(
    write_bundle: WriteBundle, model_path: Path, fault: str
) -> None:
    code_dir = write_bundle(
        f"""
        def predict(data, model):
            if data[0] == 0:
                {fault}
            return data
        """
    )
    outcomes = load(model_path, code_dir).run(items("[0, 0, 0]", "[1, 1, 1]"))
    assert [type(outcome) for outcome in outcomes] == [HookFailed, Answer]


def test_a_failed_hook_shows_the_users_own_lines(
    write_bundle: WriteBundle, model_path: Path
) -> None:
    code_dir = write_bundle(
        """
        import json

        def postprocess(output, raw_input):
            return json.loads(raw_input)["label"]
        """
    )
    (outcome,) = load(model_path, code_dir).run(items("[1, 2, 3]"))
    assert isinstance(outcome, HookFailed)
    assert outcome.what == "The postprocess hook raised TypeError."
    assert outcome.trace.startswith('  File "inference.py", line 5, in postprocess\n')
    assert outcome.trace.endswith("TypeError: list indices must be integers or slices, not str")
    assert outcome.trace.count("File") == 1


@pytest.mark.parametrize("value", ["None", "object()", "(x for x in ())", "{1, 2}"])
def test_an_answer_that_cannot_be_sent_says_what_to_return(
    write_bundle: WriteBundle, model_path: Path, value: str
) -> None:
    code_dir = write_bundle(f"def postprocess(output, raw_input): return {value}")
    (outcome,) = load(model_path, code_dir).run(items("[1, 2, 3]"))
    assert isinstance(outcome, InvalidOutput)
    assert "numpy array" in outcome.hint


def test_a_str_that_lies_fails_alone(write_bundle: WriteBundle, model_path: Path) -> None:
    code_dir = write_bundle(
        """
        class Liar(str):
            def encode(self, *args): raise RuntimeError("no")
        def postprocess(output, raw_input): return Liar("a") if output[0] else "b"
        """
    )
    outcomes = load(model_path, code_dir).run(items("[1, 2, 3]", "[0, 2, 3]"))
    assert [type(outcome) for outcome in outcomes] == [HookFailed, Answer]


def test_what_init_returns_is_the_model(write_bundle: WriteBundle, model_path: Path) -> None:
    code_dir = write_bundle(
        """
        def init(prm): return {"path": prm}
        def predict(data, model): return [len(model["path"])]
        """
    )
    pipeline = load(model_path, code_dir)
    assert pipeline.model == {"path": str(model_path)}
    assert answers(pipeline.run(items("[1, 2, 3]")))[0]["outputs"] == [len(str(model_path))]
    pipeline.warm_up()


def test_a_model_of_the_users_own_needs_only_fprop(
    write_bundle: WriteBundle, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.txt"
    weights.write_text("3")
    code_dir = write_bundle(
        """
        import numpy
        from pathlib import Path

        class Own:
            def __init__(self, path): self.factor = float(Path(path).read_text())
            def fprop(self, data): return data * self.factor

        def init(prm): return Own(prm)
        def preprocess(input, model): return numpy.array([1.0, 2.0])
        """
    )
    assert answers(load(weights, code_dir).run(items("")))[0]["outputs"] == [3.0, 6.0]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def init(prm): pass", "returned None"),
        ("def init(prm): return 7", "no fprop"),
        ("def init(prm): raise RuntimeError('no weights')", "no weights"),
    ],
)
def test_an_init_that_gives_no_model_fails_the_load(
    write_bundle: WriteBundle, model_path: Path, source: str, says: str
) -> None:
    with pytest.raises(HookFailed, match=says):
        load(model_path, write_bundle(source))


def test_paths_may_be_relative(
    write_bundle: WriteBundle, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle("def postprocess(output, raw_input): return 'ok'")
    monkeypatch.chdir(model_path.parent)
    (outcome,) = load(Path(model_path.name), "code").run(items("[1, 2, 3]"))
    assert isinstance(outcome, Answer)


def test_a_model_that_cannot_be_loaded_fails_the_load(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelLoadFailed):
        load(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("formatter", "args"),
    [("raw", {"format": "csv"}), ("classification", {"label": True}), ("raw", {"format_as": 1})],
)
def test_formatter_arguments_are_checked_at_load(
    model_path: Path, formatter: str, args: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        load(model_path, formatter=formatter, formatter_args=args)


def test_labels_come_from_the_spec_or_the_model(tmp_path: Path) -> None:
    path = onnx_models.linear(tmp_path / "m.onnx", metadata={"names": "['a', 'b', 'c']"})
    settings: dict[str, Any] = {"formatter": "classification", "formatter_args": {"label": True}}
    for labels, best in (((), "c"), (("x", "y", "z"), "z")):
        (answer,) = answers(load(path, labels=labels, **settings).run(items("[0, 0, 1, 0]")))
        assert answer["predictions"][0]["label"] == best


def test_outputs_that_are_not_finite_stay_valid_json(tmp_path: Path) -> None:
    (answer,) = answers(
        load(onnx_models.not_a_number(tmp_path / "m.onnx")).run(items("[0, 1, -1]"))
    )
    assert answer["outputs"] == ["NaN", "Infinity", "-Infinity"]


def test_traced_hooks_log_sizes_and_times(
    write_bundle: WriteBundle, model_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code_dir = write_bundle("def postprocess(output, raw_input): return 'secret'")
    caplog.set_level(logging.INFO)
    load(model_path, code_dir, trace_hooks=True).run(items("[1, 2, 3]"))
    calls = [vars(record) for record in caplog.records if record.message == "hook_call"]
    assert [(call["hook"], call["input"], call["output"]) for call in calls] == [
        ("preprocess", "application/json 9 bytes", "ndarray int64 [3]"),
        ("predict", "list 1", "list 1"),
        ("postprocess", "ndarray float32 [3]", "str 6"),
    ]
    assert all(call["duration_ms"] >= 0 for call in calls)
    assert "secret" not in caplog.text


def test_a_hooks_log_lines_name_the_request(
    model_path: Path, write_bundle: WriteBundle, caplog: pytest.LogCaptureFixture
) -> None:
    def note(record: logging.LogRecord) -> bool:
        record.about = logs.request_id.get()
        return True

    code_dir = write_bundle(
        """
        import logging
        log = logging.getLogger("hooks")

        def preprocess(input, model):
            log.warning("preprocess")
            return [1.0, 2.0, 3.0]

        def predict_batch(data, model):
            log.warning("predict")
            return data

        def postprocess(output, raw_input):
            log.warning("postprocess")
            return "x"
        """
    )
    pipeline = load(model_path, code_dir)
    caplog.handler.addFilter(note)
    for ids in (("r1", "r2"), ("r3",)):
        pipeline.run([Item(b"", "text/plain", request_id=id_) for id_ in ids])
    seen = [(record.getMessage(), record.about) for record in caplog.records]  # type: ignore[attr-defined]  # noted above
    assert seen == [
        ("preprocess", "r1"),
        ("preprocess", "r2"),
        ("predict", ""),
        ("postprocess", "r1"),
        ("postprocess", "r2"),
        ("preprocess", "r3"),
        ("predict", "r3"),
        ("postprocess", "r3"),
    ]
