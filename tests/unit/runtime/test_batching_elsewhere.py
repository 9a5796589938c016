"""What batching got wrong in other servers, as their users reported it, and does right here.

A real pipeline behind a real batcher; what is asked together arrives in one turn of the event loop.
Each test names the public threads. Queued requests whose client is gone or whose time is over never
run (triton-inference-server/server#4818, #6920, #8030; ray#21438): that is in test_batcher.py.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hookline.core.errors import HookFailed, InvalidInput, InvalidOutput
from hookline.runtime.batcher import Batcher
from hookline.runtime.items import Answer, Item, Outcome
from hookline.runtime.lane import Lane
from hookline.runtime.pace import Pace
from hookline.runtime.pipeline import Pipeline
from hookline.runtime.spec import PipelineSpec
from tests import onnx_models
from tests.asking import ask
from tests.unit.runtime.conftest import WriteBundle

JSON = "application/json"
PATIENCE_S = 60.0


class Server:
    """A pipeline, its batcher, and the sizes of the batches that ran."""

    def __init__(self, pipeline: Pipeline, lane: Lane, *, is_inline: bool = False) -> None:
        self._pipeline, self._lane, self._is_inline = pipeline, lane, is_inline
        self.sizes: list[int] = []

    def run(self, items: Sequence[Item]) -> Sequence[Outcome]:
        self.sizes.append(len(items))
        return self._pipeline.run(items)

    def answers(self, *waves: Sequence[str], **settings: Any) -> list[list[Any]]:
        """What is asked in each wave, which begins when the one before is answered."""
        return asyncio.run(self._answers(waves, settings))

    async def _answers(self, waves: Sequence[Sequence[str]], settings: Any) -> list[list[Any]]:
        batcher = Batcher(self.run, [self._lane], Pace(may_run_inline=self._is_inline), **settings)
        return [list(map(_value, await _wave(batcher, bodies))) for bodies in waves]


async def _wave(batcher: Batcher, bodies: Sequence[str]) -> list[Any]:
    items = [Item(body.encode(), JSON) for body in bodies]
    asked = (ask(batcher, item, timeout_s=PATIENCE_S) for item in items)
    return await asyncio.gather(*asked, return_exceptions=True)


def _value(outcome: object) -> Any:
    if not isinstance(outcome, Answer):
        return type(outcome)
    found = json.loads(outcome.body)
    return found["outputs"] if isinstance(found, dict) else found


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane("test")
    yield lane
    lane.close()


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    """It answers what it is asked."""
    return onnx_models.identity(tmp_path / "m.onnx")


def load(model_path: Path, code_dir: Path | str = "") -> Pipeline:
    return Pipeline.load(PipelineSpec(model_path=str(model_path), code_dir=str(code_dir)))


@pytest.mark.parametrize("is_inline", [False, True])
def test_each_request_of_a_batch_gets_its_own_answer(
    model_path: Path, lane: Lane, *, is_inline: bool
) -> None:
    """One got all predictions and the others none: SeldonIO/MLServer#1306, #1911; without hooks
    only the first was answered: aws/sagemaker-pytorch-inference-toolkit#121; how would the right
    answer get to the right request: cortexlabs/cortex#1382.
    """
    server = Server(load(model_path), lane, is_inline=is_inline)
    wanted = [[float(number), 0.0, 1.0] for number in range(30)]
    assert server.answers([json.dumps(each) for each in wanted]) == [wanted]
    assert server.sizes == [30]


def test_hooks_that_know_one_request_are_called_for_each_of_a_batch(
    model_path: Path, write_bundle: WriteBundle, lane: Lane
) -> None:
    """SageMaker's functions got the first alone: aws/sagemaker-inference-toolkit#123, #108,
    aws/sagemaker-huggingface-inference-toolkit#67.
    """
    hooks = """
import json

def model_fn(model_dir):
    return "model"

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    return [data * 2]

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
    server = Server(load(model_path, write_bundle(hooks)), lane)
    assert server.answers(["1", "2", "3"]) == [[[2], [4], [6]]]
    assert server.sizes == [3]


def test_an_error_in_one_request_is_the_error_of_that_request(
    model_path: Path, write_bundle: WriteBundle, lane: Lane
) -> None:
    """It became that of the whole batch: Lightning-AI/LitServe#340, pytorch/serve#1329, #1230."""
    hooks = """
import json

def preprocess(input, model):
    data = json.loads(input)
    if data == "bad on the way in":
        raise ValueError(data)
    return data

def predict(data, model):
    if data == "bad in the middle":
        raise ValueError(data)
    return data

def postprocess(output, raw_input):
    if output == "bad on the way out":
        raise ValueError(output)
    return json.dumps([output])
"""
    bad = [f"bad {where}" for where in ("on the way in", "in the middle", "on the way out")]
    server = Server(load(model_path, write_bundle(hooks)), lane)
    wanted = [["a"], HookFailed, ["b"], HookFailed, ["c"], HookFailed]
    asked = [word for pair in zip("abc", bad, strict=True) for word in pair]
    assert server.answers([json.dumps(word) for word in asked]) == [wanted]
    assert server.sizes == [6]


def test_one_request_that_breaks_a_batched_predict_breaks_it_for_itself_alone(
    model_path: Path, write_bundle: WriteBundle, lane: Lane
) -> None:
    """pytorch/serve#1230, Lightning-AI/LitServe#340, for hooks that take the batch as a whole."""
    hooks = """
import json

def preprocess(input, model):
    return json.loads(input)

def predict_batch(inputs, model):
    return [[10 / each] for each in inputs]

def postprocess(output, raw_input):
    return json.dumps(output)
"""
    server = Server(load(model_path, write_bundle(hooks)), lane)
    wanted = [[10.0], [5.0], HookFailed, [2.5], [2.0]]
    assert server.answers(["1", "2", "0", "4", "5"]) == [wanted]
    assert server.sizes == [5]


@pytest.mark.parametrize("result", ["[0]", "inputs + [0]", "sum(inputs)", "[]"])
def test_another_number_of_outputs_is_an_error_and_nobody_gets_a_strangers_answer(
    model_path: Path, write_bundle: WriteBundle, lane: Lane, result: str
) -> None:
    """ "number of batch response mismatched", or empty answers: pytorch/serve#2853, #1292,
    SeldonIO/MLServer#903.
    """
    hooks = f"""
import json

def preprocess(input, model):
    return json.loads(input)

def predict_batch(inputs, model):
    return {result} if len(inputs) > 1 or inputs[0] < 0 else inputs

def postprocess(output, raw_input):
    return json.dumps([output])
"""
    server = Server(load(model_path, write_bundle(hooks)), lane)
    asked = ["1", "2", "-3"]
    first, second, third = server.answers(asked)[0]
    assert (first, second) == ([1], [2])  # in halves it answers each
    assert third in (InvalidOutput, [0])  # `[0]` is one output for one input
    assert server.answers(["7"]) == [[[7]]]


@pytest.mark.parametrize("name", ["total", "positives", "wrong_about_its_batch"])
def test_a_model_whose_output_does_not_follow_its_batch_never_mixes_requests(
    tmp_path: Path, lane: Lane, name: str
) -> None:
    """The batch of the answer was not that of the question: SeldonIO/MLServer#903."""
    server = Server(load(getattr(onnx_models, name)(tmp_path / "m.onnx")), lane)
    together = server.answers(["[1, 2, 3]", "[4, 5, 6]", "[7, 8, 9]"])[0]
    alone = [server.answers([body])[0][0] for body in ("[1, 2, 3]", "[4, 5, 6]", "[7, 8, 9]")]
    assert together == alone


def test_inputs_of_different_sizes_in_one_batch_are_answered_each(
    tmp_path: Path, lane: Lane
) -> None:
    """They were cut apart at the wrong places: SeldonIO/MLServer#1718."""
    model = onnx_models.identity(tmp_path / "free.onnx", shape=("N", "size"))
    server = Server(load(model), lane)
    wanted = [[float(value) for value in range(size)] for size in (3, 59, 3, 63, 1, 59)]
    assert server.answers([json.dumps(each) for each in wanted]) == [wanted]
    assert server.sizes == [6]


def test_a_batch_of_one_is_answered_like_a_request_without_batching(
    model_path: Path, lane: Lane
) -> None:
    """Its parameters were cut off: SeldonIO/MLServer#1541."""
    item = Item(b"[1.5, 2.5, 3.5]", JSON)
    (alone,) = load(model_path).run([item])

    async def batched() -> Answer:
        batcher = Batcher(load(model_path).run, [lane], Pace(may_run_inline=False))
        return await ask(batcher, item, timeout_s=PATIENCE_S)

    assert asyncio.run(batched()) == alone


def test_no_batch_is_larger_than_allowed_and_nobody_is_refused(
    model_path: Path, lane: Lane
) -> None:
    """Batches grew over their limit: bentoml/BentoML#3710; others were refused as "Service Busy"
    though nothing was full: #3200.
    """
    server = Server(load(model_path), lane)
    wanted = [[float(number), 0.0, 0.0] for number in range(95)]
    found = server.answers([json.dumps(each) for each in wanted], max_batch_items=10)
    assert found == [wanted]
    assert max(server.sizes) == 10
    assert sum(server.sizes) == 95


def test_a_request_that_breaks_its_batch_does_not_stop_the_ones_after_it(
    model_path: Path, write_bundle: WriteBundle, lane: Lane
) -> None:
    """All later requests hung: ray-project/ray#66140, #50046."""
    hooks = """
import json

def preprocess(input, model):
    return json.loads(input)

def predict_batch(inputs, model):
    if None in inputs:
        raise SystemExit("this ends a loop that is not careful")
    return inputs

def postprocess(output, raw_input):
    return json.dumps([output])
"""
    server = Server(load(model_path, write_bundle(hooks)), lane)
    assert server.answers(["1"], ["null"], ["2", "null", "3"], ["4"]) == [
        [[1]],
        [HookFailed],
        [[2], HookFailed, [3]],
        [[4]],
    ]


def test_clients_that_leave_a_running_batch_do_not_stop_the_ones_after_them(
    model_path: Path, lane: Lane
) -> None:
    """Nobody was answered any more: ray-project/ray#41057, #50046."""
    pipeline = load(model_path)

    async def scenario() -> list[Any]:
        batcher = Batcher(pipeline.run, [lane], Pace(may_run_inline=False))
        for number in range(50):
            item = Item(f"[{number}, 0, 0]".encode(), JSON)
            asked = [asyncio.ensure_future(ask(batcher, item, timeout_s=1.0)) for _ in range(4)]
            for _ in range(number % 4):
                await asyncio.sleep(0)
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return [_value(each) for each in await _wave(batcher, ["[1, 2, 3]", "oops"])]

    assert asyncio.run(scenario()) == [[1.0, 2.0, 3.0], InvalidInput]


def test_a_lone_request_does_not_wait_for_company(model_path: Path, lane: Lane) -> None:
    """Each waited for the whole delay: pytorch/serve#1235, #2121, #1699. With a delay of an hour,
    only a full batch goes at once; without one, each goes as it comes.
    """
    server = Server(load(model_path), lane)
    waves = [["[1, 2, 3]"], ["[4, 5, 6]"]]
    assert server.answers(*waves) == [[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]
    full = ["[1, 2, 3]", "[4, 5, 6]"]
    assert len(server.answers(full, max_wait_s=3600.0, max_batch_items=2)[0]) == 2
    assert server.sizes == [1, 1, 2]
