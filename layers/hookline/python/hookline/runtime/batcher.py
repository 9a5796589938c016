"""Requests become batches: take what has arrived, run it in the pipeline's thread, answer each.

A batch of one is a batch. While one batch runs, the next one gathers; an idle batcher never waits
unless `max_wait_s` asks for it. A client that is gone never costs another one its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from hookline.core.errors import DeadlineExceeded, HooklineError, NotReady, Overloaded
from hookline.runtime.items import Answer, Item, Outcome

log = logging.getLogger(__name__)

Run = Callable[[Sequence[Item]], Sequence[Outcome]]


@dataclass(slots=True, eq=False)
class _Entry:
    item: Item
    future: asyncio.Future[Outcome]
    arrived_s: float
    timeout_s: float
    is_queued: bool = True


@dataclass(slots=True, kw_only=True)
class Batcher:
    """Feeds `run` with batches in the order of arrival, one at a time, on `executor`."""

    run: Run
    executor: Executor
    max_batch_items: int = 64
    max_wait_s: float = 0.0
    max_queue_items: int = 1024
    _queue: deque[_Entry] = field(default_factory=deque, init=False)
    _worker: asyncio.Task[None] | None = field(default=None, init=False)
    _arrival: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _is_closed: bool = field(default=False, init=False)
    _running_since_s: float | None = field(default=None, init=False)

    async def submit(self, item: Item, *, timeout_s: float) -> Answer:
        """The answer to `item`; cancelling the caller withdraws it while it is queued.

        Raise Overloaded when the queue is full, DeadlineExceeded after `timeout_s`, NotReady once
        closed, and whatever error the pipeline has for this item.
        """
        entry = self._admitted(item, timeout_s)
        timer = asyncio.get_running_loop().call_later(timeout_s, _expire, entry)
        try:
            outcome = await entry.future
        finally:
            timer.cancel()
            if entry.is_queued:
                self._queue.remove(entry)
        if isinstance(outcome, HooklineError):
            raise outcome
        return outcome

    def busy_s(self) -> float:
        """How long the batch in hand has been running; 0 when there is none."""
        since_s = self._running_since_s
        return 0.0 if since_s is None else asyncio.get_running_loop().time() - since_s

    async def close(self) -> None:
        """Admit nothing more; return when everything admitted has been answered."""
        self._is_closed = True
        self._arrival.set()
        if self._worker is not None:
            await asyncio.wait([self._worker])

    def _admitted(self, item: Item, timeout_s: float) -> _Entry:
        if self._is_closed:
            raise NotReady("This replica is stopping.", hint="Send the request again.")
        if len(self._queue) >= self.max_queue_items:
            raise Overloaded(
                "The queue of this replica is full.",
                why=f"{len(self._queue)} requests are waiting.",
                hint="Retry after a moment, or deploy more replicas.",
            )
        loop = asyncio.get_running_loop()
        entry = _Entry(item, loop.create_future(), loop.time(), timeout_s)
        self._queue.append(entry)
        self._arrival.set()
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return entry

    async def _work(self) -> None:
        """Run batches until the queue is empty; starts one loop turn after the first arrival."""
        while self._queue:
            await self._gather()
            if batch := self._taken():
                await self._answer(batch)

    async def _gather(self) -> None:
        """Wait until the batch is full or the oldest request is `max_wait_s` old."""
        loop = asyncio.get_running_loop()
        while self._queue and len(self._queue) < self.max_batch_items and not self._is_closed:
            left_s = self._queue[0].arrived_s + self.max_wait_s - loop.time()
            if left_s <= 0:
                return
            self._arrival.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrival.wait(), left_s)

    def _taken(self) -> list[_Entry]:
        """The next batch, without those whose time or client went while they waited."""
        now_s = asyncio.get_running_loop().time()
        batch: list[_Entry] = []
        while self._queue and len(batch) < self.max_batch_items:
            entry = self._queue.popleft()
            entry.is_queued = False
            if now_s >= entry.arrived_s + entry.timeout_s:
                _expire(entry)
            if not entry.future.done():
                batch.append(entry)
        return batch

    async def _answer(self, batch: list[_Entry]) -> None:
        for entry, outcome in zip(batch, await self._outcomes(batch), strict=True):
            if not entry.future.done():  # else its client is gone or its time is over
                entry.future.set_result(outcome)

    async def _outcomes(self, batch: list[_Entry]) -> Sequence[Outcome]:
        """One outcome per entry, also when the pipeline breaks its promise."""
        self._running_since_s = asyncio.get_running_loop().time()
        running = self.executor.submit(self.run, [entry.item for entry in batch])
        await _done(running)
        self._running_since_s = None
        error = running.exception()
        if error is None and len(running.result()) == len(batch):
            return running.result()
        log.error("batch_broken", extra={"items": len(batch)}, exc_info=error)
        return [HooklineError("The replica failed inside.") for _ in batch]


async def _done(running: Future[Any]) -> None:
    """Wait without touching the result: asyncio's own wrapping hangs on a StopIteration."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    running.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set_result, None))
    await done


def _expire(entry: _Entry) -> None:
    if not entry.future.done():
        error = DeadlineExceeded(
            f"There was no answer within {entry.timeout_s:g} s.",
            hint="Allow more time with X-Request-Timeout-Ms, or send less at once.",
        )
        entry.future.set_result(error)
