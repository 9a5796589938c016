"""Keeps a target busy, and writes down how long each answer took.

Closed: so many connections, each of which asks again as soon as it is answered. Open: requests are
due at times that no answer moves; one that finds every connection busy waits, and its latency
counts from when it was due, as a caller would see it.
"""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Literal, Protocol

from hookline.bench.clock import Alarm
from hookline.bench.connection import BROKEN, Connection, spent
from hookline.bench.target import Target
from hookline.core.errors import Unavailable
from hookline.core.timing import Timing

Arrivals = Literal["constant", "poisson"]

_OK = range(200, 300)
_TIMED_OF = 8  # one request of so many asks where its time goes
_MAX_FAILURES_AT_ONCE = 100  # connections that break one after the other before it gives up


@dataclass(slots=True)
class Seen:
    """What came back since the last look."""

    began_s: float
    latencies_s: array[float] = field(default_factory=lambda: array("d"))
    statuses: Counter[int] = field(default_factory=Counter)
    timings: list[Timing] = field(default_factory=list)
    sent: int = 0


class Load(Protocol):
    """One way of asking."""

    async def start(self) -> None:
        """Begin. Raise Unavailable where nothing answers."""
        ...

    @property
    def has_answers(self) -> bool:
        """Whether there is anything to take: an answer, or a connection that broke."""
        ...

    def take(self) -> Seen:
        """What was seen since this was called before."""
        ...

    def stop(self) -> None:
        """Ask no more."""
        ...


class _Asking(ABC):
    """What both ways share: the requests in turn, the connections, what is seen."""

    def __init__(self, target: Target, bodies: Sequence[bytes], mime_type: str) -> None:
        self._target = target
        self._requests = _in_turn(target, bodies, mime_type)
        self._seen = Seen(time.monotonic())
        self._is_over = False
        self._failures = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._all: set[Connection] = set()

    @property
    def has_answers(self) -> bool:
        return bool(self._seen.statuses)

    def take(self) -> Seen:
        seen, self._seen = self._seen, Seen(time.monotonic())
        return seen

    def stop(self) -> None:
        self._is_over = True
        for task in self._opening:
            task.cancel()
        for connection in self._all:
            connection.abandon()

    async def _opened(self) -> Connection:
        connection = Connection(self._told)
        try:
            await self._target.connect(lambda: connection)
        except OSError as error:
            raise Unavailable(
                f"Nothing answers at {self._target}.",
                why=f"{error.strerror or error}.",
                hint="Start it, or look at the address and the port.",
            ) from error
        self._all.add(connection)
        return connection

    def _again(self) -> None:
        """Open a connection in the place of one that is gone."""
        task = asyncio.get_running_loop().create_task(self._open_another())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open_another(self) -> None:
        while not self._is_over and self._failures < _MAX_FAILURES_AT_ONCE:
            try:
                connection = await self._opened()
            except Unavailable:
                self._seen.statuses[BROKEN] += 1
                self._failures += 1
                await asyncio.sleep(min(1.0, 0.01 * self._failures))
            else:
                self._free(connection)
                return

    def _told(self, connection: Connection, status: int, timing: bytes) -> None:
        now_s, seen = time.monotonic(), self._seen
        if self._is_over:
            return
        seen.statuses[status] += 1
        if status in _OK:
            seen.latencies_s.append(now_s - connection.due_s)
            self._failures = 0
        if timing and (found := spent(timing)):
            seen.timings.append(found)
        if connection.is_open:
            self._free(connection)
        else:
            self._all.discard(connection)
            self._again()

    @abstractmethod
    def _free(self, connection: Connection) -> None:
        """What a connection does that waits for no answer."""


class Closed(_Asking):
    """`concurrency` connections with a request in flight each."""

    def __init__(
        self, target: Target, bodies: Sequence[bytes], mime_type: str, concurrency: int
    ) -> None:
        super().__init__(target, bodies, mime_type)
        self._concurrency = concurrency

    async def start(self) -> None:
        for _ in range(self._concurrency):
            self._free(await self._opened())

    def _free(self, connection: Connection) -> None:
        self._seen.sent += 1
        connection.ask(next(self._requests), time.monotonic())


class Open(_Asking):
    """`rate` requests a second on as many connections as it takes, `connections` at most."""

    def __init__(
        self,
        target: Target,
        bodies: Sequence[bytes],
        mime_type: str,
        rate: float,
        arrivals: Arrivals,
        connections: int,
    ) -> None:
        super().__init__(target, bodies, mime_type)
        self._times = due_times(rate, arrivals)
        self._most = connections
        self._idle: list[Connection] = []
        self._due: deque[float] = deque()
        self._alarm = Alarm(self._send_due)

    async def start(self) -> None:
        self._idle.append(await self._opened())
        self._alarm.open()
        self._zero_s = time.monotonic()
        self._next_s = self._zero_s + next(self._times)
        self._alarm.set(self._next_s)

    def stop(self) -> None:
        super().stop()
        self._alarm.close()

    def _send_due(self) -> None:
        now_s = time.monotonic()
        while self._next_s <= now_s:
            self._due.append(self._next_s)
            self._next_s = self._zero_s + next(self._times)
        if not self._is_over:
            self._alarm.set(self._next_s)
        while self._due and self._idle:
            self._ask(self._idle.pop(), self._due.popleft())
        wanted = min(len(self._due), self._most - len(self._all)) - len(self._opening)
        for _ in range(wanted):
            self._again()

    def _ask(self, connection: Connection, due_s: float) -> None:
        self._seen.sent += 1
        connection.ask(next(self._requests), due_s)

    def _free(self, connection: Connection) -> None:
        if self._due:
            self._ask(connection, self._due.popleft())
        else:
            self._idle.append(connection)


def due_times(rate: float, arrivals: Arrivals, seed: int = 0) -> Iterator[float]:
    """Seconds from the start at which requests are due: evenly spaced, or as callers come."""
    chance = random.Random(seed)  # noqa: S311 - times of requests, the same in each run
    at_s = 0.0
    while True:
        at_s += chance.expovariate(rate) if arrivals == "poisson" else 1 / rate
        yield at_s


def _in_turn(target: Target, bodies: Sequence[bytes], mime_type: str) -> Iterator[bytes]:
    plain = [target.request(body, mime_type) for body in bodies]
    timed = [target.request(body, mime_type, is_timed=True) for body in bodies]
    for at, place in enumerate(cycle(range(len(bodies)))):
        yield plain[place] if at % _TIMED_OF else timed[place]
