"""The batcher, on a loop of its own, with pipelines that tests hold and release."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from hookline.core.errors import (
    DeadlineExceeded,
    HooklineError,
    InvalidInput,
    NotReady,
    Overloaded,
)
from hookline.runtime.batcher import Batcher
from hookline.runtime.items import Answer, Item, Outcome


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
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def item(body: bytes) -> Item:
    return Item(body, "text/plain")


def submit(batcher: Batcher, *bodies: bytes, timeout_s: float = 10) -> list[asyncio.Task[Answer]]:
    return [
        asyncio.ensure_future(batcher.submit(item(body), timeout_s=timeout_s)) for body in bodies
    ]


async def bodies(answers: Sequence[Awaitable[Answer]]) -> list[bytes]:
    return [answer.body for answer in await asyncio.gather(*answers)]


def test_what_has_arrived_together_is_one_batch(
    pipeline: Recorder, thread: ThreadPoolExecutor
) -> None:
    async def scenario() -> list[bytes]:
        return await bodies(submit(Batcher(run=pipeline.run, executor=thread), b"a", b"b", b"c"))

    assert asyncio.run(scenario()) == [b"a", b"b", b"c"]
    assert pipeline.batches == [[b"a", b"b", b"c"]]


def test_while_a_batch_runs_the_next_one_gathers(
    pipeline: Recorder, thread: ThreadPoolExecutor
) -> None:
    async def scenario() -> None:
        batcher = Batcher(run=pipeline.run, executor=thread)
        pipeline.gate.clear()
        first = submit(batcher, b"a")
        await pipeline.has_begun()
        later = submit(batcher, b"b", b"c")
        await asyncio.sleep(0)
        pipeline.gate.set()
        await bodies([*first, *later])

    asyncio.run(scenario())
    assert pipeline.batches == [[b"a"], [b"b", b"c"]]


def test_a_batch_is_at_most_max_batch_items_and_in_order(
    pipeline: Recorder, thread: ThreadPoolExecutor
) -> None:
    async def scenario() -> list[bytes]:
        batcher = Batcher(run=pipeline.run, executor=thread, max_batch_items=2)
        return await bodies(submit(batcher, b"a", b"b", b"c", b"d", b"e"))

    assert asyncio.run(scenario()) == [b"a", b"b", b"c", b"d", b"e"]
    assert pipeline.batches == [[b"a", b"b"], [b"c", b"d"], [b"e"]]


def test_max_wait_gathers_what_arrives_soon(pipeline: Recorder, thread: ThreadPoolExecutor) -> None:
    async def scenario() -> None:
        batcher = Batcher(run=pipeline.run, executor=thread, max_wait_s=10, max_batch_items=3)
        answers = submit(batcher, b"a")
        for body in (b"b", b"c"):
            await asyncio.sleep(0.01)
            answers += submit(batcher, body)
        await bodies(answers)

    asyncio.run(scenario())
    assert pipeline.batches == [[b"a", b"b", b"c"]]


def test_max_wait_is_over_when_the_oldest_is_that_old(
    pipeline: Recorder, thread: ThreadPoolExecutor
) -> None:
    async def scenario() -> float:
        batcher = Batcher(run=pipeline.run, executor=thread, max_wait_s=0.05, max_batch_items=3)
        started_s = asyncio.get_running_loop().time()
        await bodies(submit(batcher, b"a"))
        return asyncio.get_running_loop().time() - started_s

    assert 0.05 <= asyncio.run(scenario()) < 5


def test_a_bad_item_fails_alone(pipeline: Recorder, thread: ThreadPoolExecutor) -> None:
    async def scenario() -> list[object]:
        batcher = Batcher(run=pipeline.run, executor=thread)
        answers = submit(batcher, b"a", b"bad", b"c")
        return list(await asyncio.gather(*answers, return_exceptions=True))

    first, second, third = asyncio.run(scenario())
    assert isinstance(second, InvalidInput)
    assert (first, third) == (Answer(b"a", "text/plain"), Answer(b"c", "text/plain"))


def test_a_full_queue_refuses_and_recovers(pipeline: Recorder, thread: ThreadPoolExecutor) -> None:
    async def scenario() -> list[bytes]:
        batcher = Batcher(run=pipeline.run, executor=thread, max_queue_items=2)
        pipeline.gate.clear()
        answers = submit(batcher, b"running")
        await pipeline.has_begun()
        answers += submit(batcher, b"a", b"b")
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await batcher.submit(item(b"c"), timeout_s=10)
        pipeline.gate.set()
        await bodies(answers)
        return await bodies(submit(batcher, b"d"))

    assert asyncio.run(scenario()) == [b"d"]


def test_an_expired_request_never_reaches_the_pipeline(
    pipeline: Recorder, thread: ThreadPoolExecutor
) -> None:
    async def scenario() -> None:
        batcher = Batcher(run=pipeline.run, executor=thread)
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


def test_a_deadline_in_a_running_batch_is_answered_in_time(
    pipeline: Recorder, thread: ThreadPoolExecutor
) -> None:
    async def scenario() -> list[bytes]:
        batcher = Batcher(run=pipeline.run, executor=thread)
        pipeline.gate.clear()
        late = submit(batcher, b"late", timeout_s=0.02)
        patient = submit(batcher, b"patient")
        with pytest.raises(DeadlineExceeded):
            await late[0]
        pipeline.gate.set()
        return await bodies(patient)

    assert asyncio.run(scenario()) == [b"patient"]


def test_a_withdrawn_request_leaves_the_queue_and_its_place(
    pipeline: Recorder, thread: ThreadPoolExecutor
) -> None:
    async def scenario() -> None:
        batcher = Batcher(run=pipeline.run, executor=thread, max_queue_items=1)
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
    pipeline: Recorder, thread: ThreadPoolExecutor
) -> None:
    async def scenario() -> list[bytes]:
        batcher = Batcher(run=pipeline.run, executor=thread)
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
    pipeline: Recorder, thread: ThreadPoolExecutor, fault: Exception | None
) -> None:
    def run(items: Sequence[Item]) -> list[Outcome]:
        if items[0].body == b"break":
            if fault is None:
                return []
            raise fault
        return pipeline.run(items)

    async def scenario() -> list[bytes]:
        batcher = Batcher(run=run, executor=thread)
        for answer in submit(batcher, b"break", b"too"):
            with pytest.raises(HooklineError, match="failed inside"):
                await answer
        return await bodies(submit(batcher, b"next"))

    assert asyncio.run(scenario()) == [b"next"]


def test_close_answers_what_was_admitted_and_refuses_the_rest(
    pipeline: Recorder, thread: ThreadPoolExecutor
) -> None:
    async def scenario() -> list[bytes]:
        batcher = Batcher(run=pipeline.run, executor=thread, max_batch_items=1, max_wait_s=60)
        answers = submit(batcher, b"a", b"b", b"c")
        await asyncio.sleep(0)
        await batcher.close()
        with pytest.raises(NotReady):
            await batcher.submit(item(b"late"), timeout_s=1)
        assert all(answer.done() for answer in answers)
        return await bodies(answers)

    assert asyncio.run(scenario()) == [b"a", b"b", b"c"]


def test_the_loop_stays_responsive_while_a_batch_runs(
    pipeline: Recorder, thread: ThreadPoolExecutor
) -> None:
    async def scenario() -> None:
        batcher = Batcher(run=pipeline.run, executor=thread)
        pipeline.gate.clear()
        answers = submit(batcher, b"a")
        await pipeline.has_begun()  # the loop turns while the pipeline is held
        assert not answers[0].done()
        pipeline.gate.set()
        await bodies(answers)

    asyncio.run(scenario())
