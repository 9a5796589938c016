"""Whatever clients and pipelines do, every request gets its own answer, once, in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.core.errors import DeadlineExceeded, HookFailed, HooklineError, Overloaded
from hookline.runtime.batcher import Batcher
from hookline.runtime.items import Answer, Item, Outcome

PATIENT_S = 30.0


@dataclass(frozen=True)
class Call:
    """One request: it arrives some loop turns later, and its client may give up or hurry."""

    turns_before: int
    is_bad: bool
    cancelled_after_turns: int | None
    timeout_s: float


CALLS = st.lists(
    st.builds(
        Call,
        turns_before=st.sampled_from((0, 0, 0, 1, 5)),
        is_bad=st.booleans(),
        cancelled_after_turns=st.none() | st.integers(0, 12),
        timeout_s=st.sampled_from((PATIENT_S, PATIENT_S, 0.0, 0.001)),
    ),
    max_size=40,
)


@dataclass
class Pipeline:
    """Tells each item by its body; slow, and broken for whole batches, where the plan says so."""

    plan: list[str]
    seen: list[bytes] = field(default_factory=list)
    batch_sizes: list[int] = field(default_factory=list)

    def run(self, items: Sequence[Item]) -> list[Outcome]:
        step = self.plan[len(self.batch_sizes) % len(self.plan)]
        self.batch_sizes.append(len(items))
        self.seen += [item.body for item in items]
        if step == "slow":
            time.sleep(0.002)
        if step == "raise":
            raise RuntimeError(step)
        return [self._outcome(item) for item in items]

    @staticmethod
    def _outcome(item: Item) -> Outcome:
        if item.mime_type == "bad":
            return HookFailed(f"{item.body!r}")
        return Answer(item.body, "text/plain")


async def client(batcher: Batcher, number: int, call: Call) -> object:
    item = Item(b"%d" % number, "bad" if call.is_bad else "good")
    asked = asyncio.ensure_future(batcher.submit(item, timeout_s=call.timeout_s))
    if call.cancelled_after_turns is not None:
        for _ in range(call.cancelled_after_turns):
            await asyncio.sleep(0)
        asked.cancel()
    (outcome,) = await asyncio.gather(asked, return_exceptions=True)
    return outcome


async def play(batcher: Batcher, calls: list[Call]) -> list[object]:
    clients = []
    for number, call in enumerate(calls):
        for _ in range(call.turns_before):
            await asyncio.sleep(0)
        clients.append(asyncio.ensure_future(client(batcher, number, call)))
    outcomes = await asyncio.wait_for(asyncio.gather(*clients), PATIENT_S / 2)
    await asyncio.wait_for(batcher.close(), PATIENT_S / 2)
    return list(outcomes)


def check(number: int, call: Call, outcome: object, plan: list[str]) -> None:
    if isinstance(outcome, Answer):
        assert outcome.body == b"%d" % number
        assert not call.is_bad
    elif isinstance(outcome, HookFailed):
        assert outcome.what == repr(b"%d" % number)
        assert call.is_bad
    elif isinstance(outcome, asyncio.CancelledError):
        assert call.cancelled_after_turns is not None
    elif isinstance(outcome, DeadlineExceeded):
        assert call.timeout_s < PATIENT_S
    else:
        assert isinstance(outcome, HooklineError)
        assert isinstance(outcome, Overloaded) or "raise" in plan


@settings(max_examples=150, deadline=None)
@given(
    calls=CALLS,
    plan=st.lists(st.sampled_from(("fast", "fast", "slow", "raise")), min_size=1, max_size=4),
    max_batch_items=st.integers(1, 9),
    max_queue_items=st.sampled_from((1, 4, 100)),
    max_wait_s=st.sampled_from((0.0, 0.0, 0.001)),
)
def test_no_answer_is_lost_doubled_or_crossed(
    calls: list[Call],
    plan: list[str],
    max_batch_items: int,
    max_queue_items: int,
    max_wait_s: float,
) -> None:
    pipeline = Pipeline(plan)

    async def scenario(thread: ThreadPoolExecutor) -> list[object]:
        batcher = Batcher(
            run=pipeline.run,
            executor=thread,
            max_batch_items=max_batch_items,
            max_queue_items=max_queue_items,
            max_wait_s=max_wait_s,
        )
        return await play(batcher, calls)

    with ThreadPoolExecutor(1) as thread:
        outcomes = asyncio.run(scenario(thread))

    assert len(outcomes) == len(calls)
    for number, (call, outcome) in enumerate(zip(calls, outcomes, strict=True)):
        check(number, call, outcome, plan)
    order = [int(body) for body in pipeline.seen]
    assert order == sorted(set(order)), "each item at most once, in the order of arrival"
    assert all(1 <= size <= max_batch_items for size in pipeline.batch_sizes)
    expired = {number for number, call in enumerate(calls) if call.timeout_s == 0.0}
    assert not expired & set(order), "an expired item never reaches the pipeline"
