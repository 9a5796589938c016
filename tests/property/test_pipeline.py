"""Whatever items and hooks do, N items give N outcomes in order, and neighbours survive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.core.errors import HookFailed, HooklineError
from hookline.runtime.guard import Guard
from hookline.runtime.items import Answer, Item, Outcome
from hookline.runtime.pipeline import Pipeline, Stages, bisect
from hookline.runtime.rendering import answer_from

# The first byte of a body says where it fails, if anywhere.
FAILS = {b"p": "preprocess", b"b": "predict", b"o": "postprocess", b"x": "exit"}
BODIES = st.lists(
    st.tuples(st.sampled_from([*FAILS, b".", b".", b"."]), st.binary(max_size=3)).map(b"".join),
    max_size=40,
)


def fail_on(where: str, body: bytes) -> None:
    if FAILS.get(body[:1]) == where:
        raise ValueError(where)
    if where == "postprocess" and FAILS.get(body[:1]) == "exit":
        raise SystemExit


def preprocess(item: Item) -> bytes:
    fail_on("preprocess", item.body)
    return item.body


def predict_batch(data: list[bytes]) -> list[bytes]:
    for body in data:
        fail_on("predict", body)
    return [body[::-1] for body in data]


def postprocess(output: bytes, item: Item) -> Answer:
    fail_on("postprocess", item.body)
    return answer_from(output)


def pipeline_of(predict: Callable[[list[Any]], list[Any]]) -> Pipeline:
    return Pipeline(Stages(preprocess, predict, postprocess), None, Guard())


GUARD = Guard()
BATCHED = pipeline_of(
    lambda data: bisect(lambda part: GUARD.attempt("predict_batch", predict_batch, part), data)
)
SINGLE = pipeline_of(
    lambda data: [GUARD.attempt("predict", lambda one: predict_batch([one])[0], x) for x in data]
)


def told(outcome: Outcome) -> bytes | str:
    return outcome.body if isinstance(outcome, Answer) else type(outcome).__name__


def run(pipeline: Pipeline, bodies: list[bytes]) -> list[Outcome]:
    return pipeline.run([Item(body, "text/plain") for body in bodies])


@given(BODIES)
@settings(deadline=None)
def test_only_culprits_fail_and_order_is_kept(bodies: list[bytes]) -> None:
    for pipeline in (BATCHED, SINGLE):
        outcomes = run(pipeline, bodies)
        assert len(outcomes) == len(bodies)
        for body, outcome in zip(bodies, outcomes, strict=True):
            if body[:1] in FAILS:
                assert isinstance(outcome, HookFailed)
            else:
                assert outcome == answer_from(body[::-1])


@given(BODIES)
@settings(deadline=None)
def test_a_batch_answers_as_its_items_would_one_by_one(bodies: list[bytes]) -> None:
    together = [told(outcome) for outcome in run(BATCHED, bodies)]
    one_by_one = [told(outcome) for body in bodies for outcome in run(BATCHED, [body])]
    assert together == one_by_one == [told(outcome) for outcome in run(SINGLE, bodies)]


@given(st.lists(st.booleans(), min_size=1, max_size=64))
@settings(deadline=None)
def test_bisecting_costs_few_calls_per_culprit(are_bad: list[bool]) -> None:
    calls: list[int] = []

    def call(part: list[bool]) -> list[bool] | HooklineError:
        calls.append(len(part))
        return HookFailed("bad") if any(part) else part

    outcomes = bisect(call, are_bad)
    assert [isinstance(outcome, HookFailed) for outcome in outcomes] == are_bad
    depth = len(are_bad).bit_length()
    assert len(calls) <= 1 + 2 * depth * sum(are_bad)
