from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hookline.core.errors import HookFailed, HooklineError
from hookline.runtime.items import Answer, Item, Outcome
from hookline.runtime.pipeline import Pipeline
from hookline.runtime.spec import PipelineSpec
from tests import onnx_models
from tests.unit.runtime.conftest import WriteBundle

ALL_FOUR = """
import json, os

def model_fn(model_dir):
    return {"files": os.listdir(model_dir)}

def input_fn(input_data, content_type):
    assert isinstance(input_data, str)
    return json.loads(input_data), content_type

def predict_fn(data, model):
    return {"data": data, "files": model["files"]}

def output_fn(prediction, accept):
    return json.dumps([prediction, accept])
"""


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    return onnx_models.identity(tmp_path / "model" / "m.onnx")


def load(model_path: Path, code_dir: Path, **settings: Any) -> Pipeline:
    return Pipeline.load(
        PipelineSpec(model_path=str(model_path), code_dir=str(code_dir), threads=1, **settings)
    )


def answer(outcome: Outcome) -> Answer:
    assert isinstance(outcome, Answer), outcome
    return outcome


def test_a_sagemaker_file_works_unchanged(write_bundle: WriteBundle, model_path: Path) -> None:
    pipeline = load(model_path, write_bundle(ALL_FOUR))
    (outcome,) = pipeline.run([Item(b"[1, 2, 3]", "application/json")])
    assert answer(outcome).mime_type == "application/json"
    assert json.loads(answer(outcome).body) == [
        {"data": [[1, 2, 3], "application/json"], "files": ["m.onnx"]},
        "application/json",
    ]


def test_a_context_is_passed_to_those_who_ask(write_bundle: WriteBundle, model_path: Path) -> None:
    code_dir = write_bundle(
        """
        def model_fn(model_dir, context):
            assert context.system_properties["model_dir"] == model_dir
            return 7
        def input_fn(input_data, content_type, context): return input_data
        def predict_fn(data, model, context): return [context.system_properties["model_dir"], model]
        def output_fn(prediction, accept, context): return repr(prediction)
        """
    )
    (outcome,) = load(model_path, code_dir).run([Item(b"", "image/png")])
    assert answer(outcome).body.decode() == repr([str(model_path.parent), 7])


def test_hooks_that_are_missing_are_canned(write_bundle: WriteBundle, model_path: Path) -> None:
    code_dir = write_bundle("def output_fn(prediction, accept): return str(prediction.tolist())")
    (outcome,) = load(model_path, code_dir).run([Item(b"[1, 2, 3]", "application/json")])
    assert answer(outcome).body == b"[1.0, 2.0, 3.0]"


def test_a_tuple_is_the_body_and_its_type(write_bundle: WriteBundle, model_path: Path) -> None:
    code_dir = write_bundle("def output_fn(prediction, accept): return b'\\x89PNG', 'image/png'")
    (outcome,) = load(model_path, code_dir).run([Item(b"[1, 2, 3]", "application/json")])
    assert outcome == Answer(b"\x89PNG", "image/png")


def test_transform_fn_does_it_all(write_bundle: WriteBundle, model_path: Path) -> None:
    code_dir = write_bundle(
        """
        def transform_fn(model, input_data, content_type, accept):
            return f"{input_data!r} {content_type} {accept} {model.inputs[0].name}"
        """
    )
    outcomes = load(model_path, code_dir).run([Item(b"a", "text/csv"), Item(b"b", "image/png")])
    assert [answer(outcome).body for outcome in outcomes] == [
        b"'a' text/csv application/json x",
        b"b'b' image/png application/json x",
    ]


def test_transform_fn_stands_alone(write_bundle: WriteBundle, model_path: Path) -> None:
    code_dir = write_bundle(
        """
        def transform_fn(model, input_data, content_type, accept): pass
        def output_fn(prediction, accept): pass
        """
    )
    with pytest.raises(HookFailed, match="transform_fn and output_fn"):
        load(model_path, code_dir)


def test_a_function_of_another_arity_is_refused(
    write_bundle: WriteBundle, model_path: Path
) -> None:
    with pytest.raises(HookFailed, match="predict_fn has 4 parameters"):
        load(model_path, write_bundle("def predict_fn(data, model, context, more): pass"))


def test_loading_runs_in_sagemakers_order(write_bundle: WriteBundle, model_path: Path) -> None:
    code_dir = write_bundle(
        """
        calls = []
        def pre_model_fn(model_dir): calls.append("pre")
        def model_fn(model_dir): calls.append("model"); return calls
        def model_warmup_fn(model_dir, model): model.append("warmup")
        def predict_fn(data, model): return model
        """
    )
    pipeline = load(model_path, code_dir)
    assert pipeline.model == ["pre", "model", "warmup"]


def test_sagemakers_names_win_over_the_seeds(
    write_bundle: WriteBundle, model_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code_dir = write_bundle(
        """
        def preprocess(picture): raise AssertionError("a helper, not a hook")
        def output_fn(prediction, accept): return "ok"
        """
    )
    (outcome,) = load(model_path, code_dir).run([Item(b"[1, 2, 3]", "application/json")])
    assert answer(outcome).body == b"ok"
    assert "hooks_ignored" in caplog.text


def test_a_body_that_is_not_text_fails_alone(write_bundle: WriteBundle, model_path: Path) -> None:
    outcomes = load(model_path, write_bundle(ALL_FOUR)).run(
        [Item(b"\xff", "application/json"), Item(b"[1]", "application/json; charset=utf-8")]
    )
    assert isinstance(outcomes[0], HooklineError)
    assert isinstance(outcomes[1], Answer)


@pytest.mark.parametrize(("accept", "told"), [("", "application/json"), ("text/csv", "text/csv")])
def test_output_fn_is_told_what_the_caller_accepts(
    accept: str, told: str, write_bundle: WriteBundle, model_path: Path
) -> None:
    code_dir = write_bundle("def output_fn(prediction, accept): return accept")
    item = Item(b"[1, 2, 3]", "application/json", accept=accept)
    (outcome,) = load(model_path, code_dir).run([item])
    assert answer(outcome) == Answer(told.encode(), told)
