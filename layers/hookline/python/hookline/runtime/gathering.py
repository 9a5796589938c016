"""The rows of one request on their way through the batcher, answered together or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from hookline.core.errors import HooklineError
from hookline.runtime.batcher import Batcher, Ticket
from hookline.runtime.items import Answer, Item, Laps, Outcome

TellAll = Callable[[Sequence[Answer] | HooklineError], None]


class Gathering:
    """`tell` is called once: with all answers in the order of the items, or the first error.

    Rows run in whatever batches they fall into, with those of other requests.
    """

    def __init__(self, batcher: Batcher, tell: TellAll) -> None:
        self._batcher, self._tell = batcher, tell
        self._tickets: list[Ticket] = []
        self._answers: list[Answer | None] = []
        self._left = 0
        self.arrived_s = time.monotonic()
        self.laps: Laps | None = None  # of the batch that had the last row

    def submit(self, items: Sequence[Item], *, deadline_s: float, urgency: int) -> None:
        """Queue all of them, or none. Raise TooLarge, Overloaded or NotReady as the batcher."""
        self._batcher.check_room(len(items))
        self._left, self._answers = len(items), [None] * len(items)
        for at, item in enumerate(items):
            tell = partial(self._told, at)
            ticket = self._batcher.submit(item, tell=tell, deadline_s=deadline_s, urgency=urgency)
            self._tickets.append(ticket)

    def withdraw(self) -> None:
        """Nobody waits for them any more."""
        tickets, self._tickets = self._tickets, []
        self._left, self._tell = 0, _nobody
        for ticket in tickets:
            self._batcher.withdraw(ticket)

    def _told(self, at: int, outcome: Outcome) -> None:
        if not self._left:
            return
        tell = self._tell
        if isinstance(outcome, HooklineError):
            self.withdraw()
            tell(_of_row(at, outcome) if len(self._answers) > 1 else outcome)
            return
        self._answers[at] = outcome
        self._left -= 1
        self.laps = self._tickets[at].laps
        if not self._left:
            self._tickets, self._tell = [], _nobody  # which leads back here: leave no cycle behind
            tell([answer for answer in self._answers if answer is not None])


def _nobody(_: Sequence[Answer] | HooklineError) -> None:
    """Nobody waits."""


def _of_row(at: int, error: HooklineError) -> HooklineError:
    """The same error, saying which row has it."""
    what = f"Row {at + 1} failed: {error.what}"
    return type(error)(what, why=error.why, hint=error.hint, trace=error.trace)
