"""Requests become batches: what arrived in one turn of the event loop runs together.

A batch of one is a batch. Nothing waits while there is room to run, unless `max_wait_s` asks for
it; while batches run, the next one gathers. A batch that is known to cost less than a hop to a
thread runs in the loop itself. A client that is gone never costs another one its answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from hookline.core.errors import (
    DeadlineExceeded,
    HooklineError,
    NotReady,
    Overloaded,
    TooLarge,
)
from hookline.runtime.items import Item, Laps, Outcome, Outcomes
from hookline.runtime.lane import Done, Lane, done
from hookline.runtime.meters import Meters
from hookline.runtime.pace import Pace
from hookline.runtime.slo import Governor
from hookline.runtime.tally import Tally

log = logging.getLogger(__name__)

Run = Callable[[Sequence[Item]], Sequence[Outcome]]
Tell = Callable[[Outcome], None]

URGENCIES = 8  # RFC 9218: 0 is the most urgent
DEFAULT_URGENCY = 3


class Ticket:
    """One item on its way. `tell` is called with its outcome, once, unless it is withdrawn.

    `laps` are those of its batch, once it has run.
    """

    __slots__ = ("arrived_s", "deadline_s", "item", "laps", "queue", "tell")

    def __init__(self, item: Item, tell: Tell, deadline_s: float, queue: deque[Ticket]) -> None:
        self.item, self.deadline_s = item, deadline_s
        self.tell: Tell | None = tell
        self.queue: deque[Ticket] | None = queue  # None once its batch has begun
        self.arrived_s = time.monotonic()
        self.laps: Laps | None = None

    def close(self, outcome: Outcome) -> None:
        """Tell the outcome, unless nobody waits for it; what fails there concerns no other one."""
        tell, self.tell = self.tell, None  # which leads back here: no cycle may be left behind
        if tell is None:
            return
        try:
            tell(outcome)
        except Exception:
            log.exception("answer_lost")


class Batcher:
    """Feeds `run` with batches, the most urgent first and else in the order of arrival.

    It runs on `lanes`, one batch each at a time, or in the event loop where `pace` says so.
    """

    def __init__(
        self,
        run: Run,
        lanes: Sequence[Lane],
        pace: Pace,
        *,
        max_batch_items: int = 64,
        max_wait_s: float = 0.0,
        max_queue_items: int = 1024,
        governor: Governor | None = None,
    ) -> None:
        self.run, self.pace = run, pace
        self.max_batch_items, self.max_wait_s = max_batch_items, max_wait_s
        self._max_queue_items, self._governor = max_queue_items, governor
        self._idle = list(lanes)
        self._running_since_s: dict[Lane, float] = {}
        self._queues: tuple[deque[Ticket], ...] = tuple(deque() for _ in range(URGENCIES))
        self._waiting = self._running = 0
        self._meters: Meters | None = None
        self._is_due = self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self.tally = Tally()

    def check_room(self, count: int) -> None:
        """Raise TooLarge for more items than the queue ever takes, Overloaded if it is too full."""
        if count > self._max_queue_items:
            raise TooLarge(
                f"The request has {count} rows.",
                why=f"At most {self._max_queue_items} may wait at once.",
                hint="Send fewer rows at a time.",
            )
        if self._waiting + count > self._max_queue_items:
            raise self._overloaded()

    def count_in(self, meters: Meters) -> None:
        """Let `meters` know of every batch, and of what waits and runs."""
        self._meters = meters
        meters.gauges = self._gauges

    def submit(
        self,
        item: Item,
        *,
        tell: Tell,
        deadline_s: float,
        urgency: int = DEFAULT_URGENCY,
        is_alone: bool = False,
    ) -> Ticket:
        """Queue `item` until `deadline_s` of the monotonic clock.

        `is_alone`: no other can arrive in this turn of the loop, so none is waited for, and `tell`
        may be called before this returns. Raise Overloaded when the queue is full, NotReady once
        closed.
        """
        if self._is_closed:
            raise NotReady("This replica is stopping.", hint="Send the request again.")
        if self._waiting >= self._max_queue_items:
            raise self._overloaded()
        queue = self._queues[urgency]
        ticket = Ticket(item, tell, deadline_s, queue)
        queue.append(ticket)
        self._waiting += 1
        if is_alone and not self._is_due:
            self._look()
        else:
            self._look_soon()
        return ticket

    def _overloaded(self) -> Overloaded:
        return Overloaded(
            "The queue of this replica is full.",
            why=f"{self._waiting} requests are waiting.",
            hint="Retry after a moment, or deploy more replicas.",
        )

    def withdraw(self, ticket: Ticket) -> None:
        """Nobody waits for it any more: it does not run, if it has not begun to."""
        ticket.tell = None
        if ticket.queue is not None:
            ticket.queue.remove(ticket)
            ticket.queue = None
            self._waiting -= 1

    def busy_s(self) -> float:
        """How long the oldest batch in hand has been running; 0 when there is none."""
        since_s = min(self._running_since_s.values(), default=None)
        return 0.0 if since_s is None else time.monotonic() - since_s

    async def close(self) -> None:
        """Admit nothing more; return when everything admitted has been answered."""
        self._is_closed = True
        self._look_soon()
        await self._empty.wait()

    def _look_soon(self) -> None:
        """Look after this turn of the loop, in which more may arrive."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """Start what can be started now."""
        self._is_due = False
        if self._waiting and not self._must_gather() and not self._run_here():
            while self._waiting and self._idle:
                self._run_there()
        if self._is_closed and not self._waiting and not self._running_since_s:
            self._empty.set()

    def _must_gather(self) -> bool:
        """Whether to wait for more; if so, a timer looks again."""
        if not self.max_wait_s or self._waiting >= self.max_batch_items or self._is_closed:
            return False
        oldest_s = min(queue[0].arrived_s for queue in self._queues if queue)
        left_s = oldest_s + self.max_wait_s - time.monotonic()
        if left_s <= 0:
            return False
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(left_s, self._look_soon)
        return True

    def _run_here(self) -> bool:
        """Run a batch in the loop, if it is quick; what is left waits a turn."""
        if not self.pace.may_run_inline:
            return False
        queue = next(queue for queue in self._queues if queue)
        first = [ticket.item for ticket in islice(queue, self.max_batch_items)]
        count = self.pace.inline_items(first)
        if not count:
            return False
        if batch := self._taken(count):
            result = done(self.run, [ticket.item for ticket in batch])
            self._finish(batch, result, result.spent_s)
        if self._waiting or self._is_closed:
            self._look_soon()
        return True

    def _run_there(self) -> None:
        """Give a batch to a lane that has nothing to do, and leave the others their share."""
        share = -(-self._waiting // len(self._idle))
        batch = self._taken(min(share, self.max_batch_items))
        if batch:
            lane = self._idle.pop()
            self._running_since_s[lane] = time.monotonic()
            self._running += len(batch)
            items = [ticket.item for ticket in batch]
            lane.call(partial(self._came_back, lane, batch), self.run, items)

    def _came_back(self, lane: Lane, batch: list[Ticket], result: Done[Sequence[Outcome]]) -> None:
        run_s = time.monotonic() - self._running_since_s.pop(lane)
        self._idle.append(lane)
        self._running -= len(batch)
        self.pace.hopped(run_s - result.spent_s)
        self._finish(batch, result, run_s)
        self._look_soon()

    def _taken(self, count: int) -> list[Ticket]:
        """The next batch, without those whose time or client went while they waited."""
        now_s = time.monotonic()
        batch: list[Ticket] = []
        for queue in filter(None, self._queues):
            while queue and len(batch) < count:
                ticket = queue.popleft()
                ticket.queue = None
                self._waiting -= 1
                if now_s >= ticket.deadline_s:
                    ticket.close(late(ticket.deadline_s - ticket.arrived_s))
                else:
                    batch.append(ticket)
        return batch

    def _finish(self, batch: list[Ticket], result: Done[Sequence[Outcome]], run_s: float) -> None:
        """Give each its outcome, also when the pipeline breaks its promise."""
        if result.error is None and len(result.value) == len(batch):
            outcomes = result.value
            self.pace.learn([ticket.item for ticket in batch], result.spent_s)
            laps = outcomes.laps if isinstance(outcomes, Outcomes) else None
            for ticket, outcome in zip(batch, outcomes, strict=True):
                ticket.laps = laps
                ticket.close(outcome)
            if laps is not None and self._meters is not None:
                self._meters.ran(batch, laps, time.monotonic())
            if laps is not None:
                first_s = batch[0].arrived_s
                arrived_s = sum([t.arrived_s for t in batch]) if len(batch) > 1 else first_s
                self.tally.note(laps, arrived_s)
            if self._governor is not None:
                self._follow(self._governor, batch, run_s)
            return
        log.error("batch_broken", extra={"items": len(batch)}, exc_info=result.error)
        for ticket in batch:
            ticket.close(HooklineError("The replica failed inside."))

    def _gauges(self) -> tuple[int, int]:
        return self._waiting, self._running

    def _follow(self, governor: Governor, batch: list[Ticket], run_s: float) -> None:
        now_s = time.monotonic()
        for ticket in batch:
            governor.note(now_s - ticket.arrived_s, run_s)
        self.max_batch_items, self.max_wait_s = governor.items, governor.wait_s


def late(timeout_s: float) -> DeadlineExceeded:
    """What is said when a prediction took too long."""
    return DeadlineExceeded(
        f"There was no answer within {timeout_s:g} s.",
        hint="Allow more time with X-Request-Timeout-Ms, or send less at once.",
    )
