"""What a connection does with a batcher, for tests that have no connection."""

from __future__ import annotations

import asyncio
import time

from hookline.core.errors import HooklineError
from hookline.runtime.batcher import DEFAULT_URGENCY, Batcher, late
from hookline.runtime.items import Answer, Item, Outcome


async def ask(
    batcher: Batcher,
    item: Item,
    *,
    timeout_s: float,
    urgency: int = DEFAULT_URGENCY,
    is_alone: bool = False,
) -> Answer:
    """The answer to `item`; raises its error. Cancelling withdraws it, as time does."""
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def tell(outcome: Outcome) -> None:
        if not future.done():
            future.set_result(outcome)

    deadline_s = time.monotonic() + timeout_s
    ticket = batcher.submit(
        item, tell=tell, deadline_s=deadline_s, urgency=urgency, is_alone=is_alone
    )
    timer = asyncio.get_running_loop().call_later(timeout_s, tell, late(timeout_s))
    try:
        outcome = await future
    finally:
        timer.cancel()
        batcher.withdraw(ticket)
    if isinstance(outcome, HooklineError):
        raise outcome
    return outcome
