"""The batcher, on a loop of its own, with pipelines that tests hold and release."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from hookline.core.errors import (
    DeadlineExceeded,
    HooklineError,
    InvalidInput,
    NotReady,
    Overloaded,
)
from hookline.runtime.batcher import Batcher, Run
from hookline.runtime.items import Answer, Item, Outcome
from hookline.runtime.lane import Lane
from hookline.runtime.pace import Pace
from tests.asking import ask


class Recorder:
    """Echoes every item; while `gate` is closed, a batch stays in the pipeline."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._begun = threading.Event()

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, 10)

    def run(self, items: Sequence[Item]) -> list[Outcome]:
        self.batches.append([item.body for item in items])
        self._begun.set()
        assert self.gate.wait(10)
        return [self._outcome(item) for item in items]

    @staticmethod
    def _outcome(item: Item) -> Outcome:
        return InvalidInput("bad") if item.body == b"bad" else Answer(item.body, "text/plain")


@pytest.fixture
def pipeline() -> Recorder:
    return Recorder()


@pytest.fixture
def lane() -> Iterator[Lane]:
    one = Lane("test")
    yield one
    one.close()


def threaded(run: Run, *lanes: Lane, **settings: Any) -> Batcher:
    return Batcher(run, lanes, Pace(may_run_inline=False), **settings)


def item(body: bytes) -> Item:
    return Item(body, "text/plain")


def submit(batcher: Batcher, *bodies: bytes, timeout_s: float = 10) -> list[asyncio.Task[Answer]]:
    return [asyncio.ensure_future(ask(batcher, item(body), timeout_s=timeout_s)) for body in bodies]


async def bodies(answers: Sequence[Awaitable[Answer]]) -> list[bytes]:
    return [answer.body for answer in await asyncio.gather(*answers)]


def test_what_has_arrived_together_is_one_batch(pipeline: Recorder, lane: Lane) -> None:
    async def scenario() -> list[bytes]:
        return await bodies(submit(threaded(pipeline.run, lane), b"a", b"b", b"c"))

    assert asyncio.run(scenario()) == [b"a", b"b", b"c"]
    assert pipeline.batches == [[b"a", b"b", b"c"]]


def test_while_a_batch_runs_the_next_one_gathers(pipeline: Recorder, lane: Lane) -> None:
    async def scenario() -> None:
        batcher = threaded(pipeline.run, lane)
        pipeline.gate.clear()
        first = submit(batcher, b"a")
        await pipeline.has_begun()
        later = submit(batcher, b"b", b"c")
        await asyncio.sleep(0)
        pipeline.gate.set()
        await bodies([*first, *later])

    asyncio.run(scenario())
    assert pipeline.batches == [[b"a"], [b"b", b"c"]]


def test_a_batch_is_at_most_max_batch_items_and_in_order(pipeline: Recorder, lane: Lane) -> None:
    async def scenario() -> list[bytes]:
        batcher = threaded(pipeline.run, lane, max_batch_items=2)
        return await bodies(submit(batcher, b"a", b"b", b"c", b"d", b"e"))

    assert asyncio.run(scenario()) == [b"a", b"b", b"c", b"d", b"e"]
    assert pipeline.batches == [[b"a", b"b"], [b"c", b"d"], [b"e"]]


def test_max_wait_gathers_what_arrives_soon(pipeline: Recorder, lane: Lane) -> None:
    async def scenario() -> None:
        batcher = threaded(pipeline.run, lane, max_wait_s=10, max_batch_items=3)
        answers = submit(batcher, b"a")
        for body in (b"b", b"c"):
            await asyncio.sleep(0.01)
            answers += submit(batcher, body)
        await bodies(answers)

    asyncio.run(scenario())
    assert pipeline.batches == [[b"a", b"b", b"c"]]


def test_max_wait_is_over_when_the_oldest_is_that_old(pipeline: Recorder, lane: Lane) -> None:
    async def scenario() -> float:
        batcher = threaded(pipeline.run, lane, max_wait_s=0.05, max_batch_items=3)
        started_s = asyncio.get_running_loop().time()
        await bodies(submit(batcher, b"a"))
        return asyncio.get_running_loop().time() - started_s

    assert 0.05 <= asyncio.run(scenario()) < 5


def test_a_bad_item_fails_alone(pipeline: Recorder, lane: Lane) -> None:
    async def scenario() -> list[object]:
        batcher = threaded(pipeline.run, lane)
        answers = submit(batcher, b"a", b"bad", b"c")
        return list(await asyncio.gather(*answers, return_exceptions=True))

    first, second, third = asyncio.run(scenario())
    assert isinstance(second, InvalidInput)
    assert (first, third) == (Answer(b"a", "text/plain"), Answer(b"c", "text/plain"))


def test_a_full_queue_refuses_and_recovers(pipeline: Recorder, lane: Lane) -> None:
    async def scenario() -> list[bytes]:
        batcher = threaded(pipeline.run, lane, max_queue_items=2)
        pipeline.gate.clear()
        answers = submit(batcher, b"running")
        await pipeline.has_begun()
        answers += submit(batcher, b"a", b"b")
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await ask(batcher, item(b"c"), timeout_s=10)
        pipeline.gate.set()
        await bodies(answers)
        return await bodies(submit(batcher, b"d"))

    assert asyncio.run(scenario()) == [b"d"]


def test_an_expired_request_never_reaches_the_pipeline(pipeline: Recorder, lane: Lane) -> None:
    async def scenario() -> None:
        batcher = threaded(pipeline.run, lane)
        pipeline.gate.clear()
        running = submit(batcher, b"running")
        await pipeline.has_begun()
        late = submit(batcher, b"late", timeout_s=0.02)
        alive = submit(batcher, b"alive")
        with pytest.raises(DeadlineExceeded):
            await late[0]
        pipeline.gate.set()
        await bodies([*running, *alive])

    asyncio.run(scenario())
    assert pipeline.batches == [[b"running"], [b"alive"]]


def test_a_deadline_in_a_running_batch_is_answered_in_time(pipeline: Recorder, lane: Lane) -> None:
    async def scenario() -> list[bytes]:
        batcher = threaded(pipeline.run, lane)
        pipeline.gate.clear()
        late = submit(batcher, b"late", timeout_s=0.02)
        patient = submit(batcher, b"patient")
        with pytest.raises(DeadlineExceeded):
            await late[0]
        pipeline.gate.set()
        return await bodies(patient)

    assert asyncio.run(scenario()) == [b"patient"]


def test_a_withdrawn_request_leaves_the_queue_and_its_place(pipeline: Recorder, lane: Lane) -> None:
    async def scenario() -> None:
        batcher = threaded(pipeline.run, lane, max_queue_items=1)
        pipeline.gate.clear()
        running = submit(batcher, b"running")
        await pipeline.has_begun()
        (gone,) = submit(batcher, b"gone")
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        successor = submit(batcher, b"successor")
        pipeline.gate.set()
        await bodies([*running, *successor])

    asyncio.run(scenario())
    assert pipeline.batches == [[b"running"], [b"successor"]]


def test_a_request_withdrawn_from_a_running_batch_costs_no_other_its_answer(
    pipeline: Recorder, lane: Lane
) -> None:
    async def scenario() -> list[bytes]:
        batcher = threaded(pipeline.run, lane)
        pipeline.gate.clear()
        first, gone, last = submit(batcher, b"a", b"gone", b"z")
        await pipeline.has_begun()
        gone.cancel()
        await asyncio.sleep(0)
        pipeline.gate.set()
        return await bodies([first, last, *submit(batcher, b"next")])

    assert asyncio.run(scenario()) == [b"a", b"z", b"next"]


@pytest.mark.parametrize("fault", [StopIteration(), RuntimeError("broken"), None])
def test_a_pipeline_that_breaks_its_promise_fails_its_batch_and_not_the_next(
    pipeline: Recorder, lane: Lane, fault: Exception | None
) -> None:
    def run(items: Sequence[Item]) -> list[Outcome]:
        if items[0].body == b"break":
            if fault is None:
                return []
            raise fault
        return pipeline.run(items)

    async def scenario() -> list[bytes]:
        batcher = threaded(run, lane)
        for answer in submit(batcher, b"break", b"too"):
            with pytest.raises(HooklineError, match="failed inside"):
                await answer
        return await bodies(submit(batcher, b"next"))

    assert asyncio.run(scenario()) == [b"next"]


def test_close_answers_what_was_admitted_and_refuses_the_rest(
    pipeline: Recorder, lane: Lane
) -> None:
    async def scenario() -> list[bytes]:
        batcher = threaded(pipeline.run, lane, max_batch_items=1, max_wait_s=60)
        answers = submit(batcher, b"a", b"b", b"c")
        await asyncio.sleep(0)
        await batcher.close()
        with pytest.raises(NotReady):
            await ask(batcher, item(b"late"), timeout_s=1)
        assert all(answer.done() for answer in answers)
        return await bodies(answers)

    assert asyncio.run(scenario()) == [b"a", b"b", b"c"]


def test_the_loop_stays_responsive_while_a_batch_runs(pipeline: Recorder, lane: Lane) -> None:
    async def scenario() -> None:
        batcher = threaded(pipeline.run, lane)
        pipeline.gate.clear()
        answers = submit(batcher, b"a")
        await pipeline.has_begun()  # the loop turns while the pipeline is held
        assert not answers[0].done()
        pipeline.gate.set()
        await bodies(answers)

    asyncio.run(scenario())


def inline_batcher(run: Run, *lanes: Lane, **settings: Any) -> Batcher:
    """One that has learned that its pipeline is quick."""
    batcher = Batcher(run, lanes, Pace(may_run_inline=True), **settings)
    batcher.pace.learn([item(b"x")], 10e-6)
    return batcher


def test_a_quick_batch_runs_in_the_loops_own_thread(pipeline: Recorder, lane: Lane) -> None:
    threads: set[int] = set()

    def run(items: Sequence[Item]) -> list[Outcome]:
        threads.add(threading.get_ident())
        return pipeline.run(items)

    async def scenario() -> list[bytes]:
        return await bodies(submit(inline_batcher(run, lane), b"a", b"b", b"c"))

    assert asyncio.run(scenario()) == [b"a", b"b", b"c"]
    assert pipeline.batches == [[b"a", b"b", b"c"]]
    assert threads == {threading.get_ident()}


def test_after_one_slow_batch_the_loop_is_free(pipeline: Recorder, lane: Lane) -> None:
    threads: list[int] = []

    def run(items: Sequence[Item]) -> list[Outcome]:
        threads.append(threading.get_ident())
        ends_s = time.thread_time() + 0.01
        while time.thread_time() < ends_s:
            pass
        return pipeline.run(items)

    async def scenario() -> None:
        batcher = inline_batcher(run, lane)
        await bodies(submit(batcher, b"a"))
        await bodies(submit(batcher, b"b"))

    asyncio.run(scenario())
    assert threads[0] == threading.get_ident()
    assert threads[1] != threading.get_ident()


@pytest.mark.parametrize("build", [threaded, inline_batcher])
def test_the_more_urgent_goes_first(
    pipeline: Recorder, lane: Lane, build: Callable[..., Batcher]
) -> None:
    async def scenario() -> None:
        batcher = build(pipeline.run, lane, max_batch_items=2)
        await asyncio.gather(
            *(
                ask(batcher, item(body), timeout_s=10, urgency=urgency)
                for body, urgency in ((b"a", 3), (b"b", 7), (b"c", 0), (b"d", 3))
            )
        )

    asyncio.run(scenario())
    order = [body for batch in pipeline.batches for body in batch]
    assert order == [b"c", b"a", b"d", b"b"]


def test_lanes_share_what_waits(pipeline: Recorder) -> None:
    lanes = [Lane("one"), Lane("two")]

    async def scenario() -> list[bytes]:
        return await bodies(submit(threaded(pipeline.run, *lanes), b"a", b"b", b"c", b"d"))

    assert asyncio.run(scenario()) == [b"a", b"b", b"c", b"d"]
    assert sorted(pipeline.batches) == [[b"a", b"b"], [b"c", b"d"]]
    for lane in lanes:
        lane.close()


@pytest.mark.parametrize("build", [threaded, inline_batcher])
def test_a_caller_that_breaks_costs_no_other_its_answer(
    pipeline: Recorder, lane: Lane, build: Callable[..., Batcher]
) -> None:
    def breaks(_: Outcome) -> None:
        raise RuntimeError("this connection is gone")

    async def scenario() -> list[bytes]:
        batcher = build(pipeline.run, lane)
        broken = partial(batcher.submit, item(b"broken"), tell=breaks, deadline_s=math.inf)
        asyncio.get_running_loop().call_soon(broken)  # in the turn of the others
        return await bodies(submit(batcher, b"a", b"b"))

    assert asyncio.run(scenario()) == [b"a", b"b"]
    assert pipeline.batches == [[b"broken", b"a", b"b"]]


def test_a_pipeline_that_breaks_in_the_loop_fails_its_batch_and_not_the_next(
    pipeline: Recorder, lane: Lane
) -> None:
    def run(items: Sequence[Item]) -> list[Outcome]:
        if items[0].body == b"break":
            raise StopIteration
        return pipeline.run(items)

    async def scenario() -> list[bytes]:
        batcher = inline_batcher(run, lane)
        with pytest.raises(HooklineError, match="failed inside"):
            await submit(batcher, b"break")[0]
        return await bodies(submit(batcher, b"next"))

    assert asyncio.run(scenario()) == [b"next"]


def test_a_quick_request_that_is_alone_is_answered_at_once(pipeline: Recorder, lane: Lane) -> None:
    told: list[Outcome] = []

    async def scenario() -> None:
        batcher = inline_batcher(pipeline.run, lane)
        ticket = batcher.submit(item(b"a"), tell=told.append, deadline_s=math.inf, is_alone=True)
        assert told == [Answer(b"a", "text/plain")]
        batcher.withdraw(ticket)  # as a client does that is gone by then
        await batcher.close()

    asyncio.run(scenario())
    assert pipeline.batches == [[b"a"]]


def test_one_that_takes_itself_for_alone_joins_those_who_wait(
    pipeline: Recorder, lane: Lane
) -> None:
    async def scenario() -> list[bytes]:
        batcher = inline_batcher(pipeline.run, lane)
        first = submit(batcher, b"a")
        last = asyncio.ensure_future(ask(batcher, item(b"b"), timeout_s=10, is_alone=True))
        return await bodies([*first, last])

    assert asyncio.run(scenario()) == [b"a", b"b"]
    assert pipeline.batches == [[b"a", b"b"]]


def test_what_a_hop_took_in_traffic_is_learned(pipeline: Recorder, lane: Lane) -> None:
    async def scenario() -> float:
        batcher = threaded(pipeline.run, lane)
        before_s = batcher.pace.hop_s
        pipeline.gate.clear()
        answers = submit(batcher, b"a")
        await pipeline.has_begun()
        time.sleep(0.01)  # noqa: ASYNC251 - the loop is busy while the batch waits
        pipeline.gate.set()
        await bodies(answers)
        return batcher.pace.hop_s - before_s

    assert asyncio.run(scenario()) > 0
