"""A thread that does one thing after the other, for an event loop: cheaper than an executor."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Done(Generic[T]):
    """What came of a call: its value or the exception, and the CPU seconds of its thread."""

    __slots__ = ("_value", "error", "spent_s")

    def __init__(self, value: T | None, error: BaseException | None, spent_s: float) -> None:
        self._value, self.error, self.spent_s = value, error, spent_s

    @property
    def value(self) -> T:
        """The value; raises what the call raised."""
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]  # there is one when there is no error


def done(call: Callable[..., T], *args: Any) -> Done[T]:
    """Call here and now. An exception is part of what came of it, StopIteration included."""
    began_s = time.thread_time()
    try:
        value = call(*args)
    except BaseException as error:  # noqa: BLE001 - whoever waits decides what it means
        return Done(None, error, time.thread_time() - began_s)
    return Done(value, None, time.thread_time() - began_s)


class Lane:
    """A daemon thread: what hangs in it keeps no process from ending."""

    def __init__(self, name: str) -> None:
        self._orders: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def call(self, tell: Callable[[Done[Any]], None], call: Callable[..., Any], *args: Any) -> None:
        """Do `call(*args)` there after all that was asked before; `tell` is called in the loop."""
        self._orders.put((asyncio.get_running_loop(), tell, call, args))

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """As `call`, for who can await."""
        future: asyncio.Future[Done[T]] = asyncio.get_running_loop().create_future()

        def tell(result: Done[T]) -> None:
            if not future.done():
                future.set_result(result)

        self.call(tell, call, *args)
        return (await future).value

    def close(self) -> None:
        """Let the thread end when it has done all that was asked."""
        self._orders.put(None)

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            loop, tell, call, args = order
            result = done(call, *args)
            try:
                loop.call_soon_threadsafe(tell, result)
            except RuntimeError:  # the loop has ended, and nobody waits
                log.debug("nobody_waits")
            del order, tell, call, args, result  # a large batch must not stay until the next one
