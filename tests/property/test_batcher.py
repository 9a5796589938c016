"""Whatever clients and pipelines do, every request gets its own answer, once, in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.core.errors import DeadlineExceeded, HookFailed, HooklineError, Overloaded
from hookline.runtime.batcher import DEFAULT_URGENCY, URGENCIES, Batcher
from hookline.runtime.items import Answer, Item, Outcome
from hookline.runtime.lane import Lane
from hookline.runtime.pace import Pace
from tests.asking import ask

PATIENT_S = 30.0


@dataclass(frozen=True)
class Call:
    """One request: it arrives some loop turns later, and its client may give up or hurry."""

    turns_before: int
    is_bad: bool
    cancelled_after_turns: int | None
    timeout_s: float
    urgency: int
    is_alone: bool


CALLS = st.lists(
    st.builds(
        Call,
        turns_before=st.sampled_from((0, 0, 0, 1, 5)),
        is_bad=st.booleans(),
        cancelled_after_turns=st.none() | st.integers(0, 12),
        timeout_s=st.sampled_from((PATIENT_S, PATIENT_S, 0.0, 0.001)),
        urgency=st.sampled_from((DEFAULT_URGENCY, DEFAULT_URGENCY, 0, URGENCIES - 1)),
        is_alone=st.booleans(),
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
    asked = asyncio.ensure_future(
        ask(
            batcher,
            item,
            timeout_s=call.timeout_s,
            urgency=call.urgency,
            is_alone=call.is_alone,
        )
    )
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


@settings(max_examples=300, deadline=None)
@given(
    calls=CALLS,
    plan=st.lists(st.sampled_from(("fast", "fast", "slow", "raise")), min_size=1, max_size=4),
    max_batch_items=st.integers(1, 9),
    max_queue_items=st.sampled_from((1, 4, 100)),
    max_wait_s=st.sampled_from((0.0, 0.0, 0.001)),
    lanes=st.integers(1, 3),
    may_run_inline=st.booleans(),
)
def test_no_answer_is_lost_doubled_or_crossed(
    calls: list[Call],
    plan: list[str],
    max_batch_items: int,
    max_queue_items: int,
    max_wait_s: float,
    lanes: int,
    may_run_inline: bool,  # noqa: FBT001 - Hypothesis gives it
) -> None:
    pipeline = Pipeline(plan)
    threads = [Lane(f"test-{number}") for number in range(lanes)]

    async def scenario() -> list[object]:
        pace = Pace(may_run_inline=may_run_inline)
        pace.learn([Item(b"", "good")], 10e-6)  # so that some run inline from the first on
        batcher = Batcher(
            pipeline.run,
            threads,
            pace,
            max_batch_items=max_batch_items,
            max_queue_items=max_queue_items,
            max_wait_s=max_wait_s,
        )
        return await play(batcher, calls)

    outcomes = asyncio.run(scenario())
    for thread in threads:
        thread.close()

    assert len(outcomes) == len(calls)
    for number, (call, outcome) in enumerate(zip(calls, outcomes, strict=True)):
        check(number, call, outcome, plan)
    order = [int(body) for body in pipeline.seen]
    assert len(order) == len(set(order)), "each item at most once"
    if lanes == 1 and not may_run_inline and len({call.urgency for call in calls}) == 1:
        assert order == sorted(order), "in the order of arrival"
    assert all(1 <= size <= max_batch_items for size in pipeline.batch_sizes)
    expired = {number for number, call in enumerate(calls) if call.timeout_s == 0.0}
    assert not expired & set(order), "an expired item never reaches the pipeline"
