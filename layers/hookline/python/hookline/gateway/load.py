"""How much a stream has in hand here, and when that is worth telling.

A load is written when it has risen notably, and renewed while there is any; a stream that is idle,
or one whose replicas are always as many, costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hookline.core.loads import LOAD_RENEW_S, Recent
from hookline.gateway.traffic import Traffic

RISE_RATIO, RISE_STEP = 1.1, 0.5  # a load that has risen by more is told at once
FORGOTTEN_S = 3 * LOAD_RENEW_S
KEEP_S = 3600.0

News = Literal["", "renewed", "risen"]


class Meter:
    """Counts the requests of a stream that are being answered. One per stream and gateway."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self.in_flight = self.waiting = 0
        self._timer, self._area = timer, 0.0
        self._since = self._asked = timer()

    def begin(self) -> None:
        """A request has been admitted."""
        self._add_up()
        self.in_flight += 1

    def end(self) -> None:
        """It has been answered."""
        self._add_up()
        self.in_flight -= 1

    def mean(self) -> float:
        """The requests in flight, on average since this was asked before."""
        self._add_up()
        area, span_s = self._area, self._since - self._asked
        self._area, self._asked = 0.0, self._since
        return area / span_s if span_s > 0 else float(self.in_flight)

    def _add_up(self) -> None:
        now = self._timer()
        self._area += self.in_flight * (now - self._since)
        self._since = now


class Lane:
    """One stream's traffic through this gateway, and what of it was told."""

    def __init__(self, tenant: str, stream_id: int) -> None:
        self.tenant, self.stream_id = tenant, stream_id
        self.is_elastic = False
        self.meter, self.told, self.traffic = Meter(), Told(), Traffic()
        self.answered = self.failed = self.unserved = 0
        self.peak = 0.0

    def report(self, now: float) -> Report | None:
        """What is to be written of its load, if anything is. `now` is of any one clock."""
        mean = self.meter.mean()
        self.peak = max(self.peak, mean)
        if not self.is_elastic:
            return None
        waiting = self.meter.waiting
        news = self.told.news(mean + waiting, now)
        if not news:
            return None
        in_flight = max(0.0, self.told.value - waiting)
        is_urgent = waiting > 0 or news == "risen"
        return Report(self.tenant, self.stream_id, in_flight, waiting, is_urgent=is_urgent)

    def count(self) -> Numbers:
        """What has happened since this was asked before."""
        numbers = Numbers(
            self.tenant, self.stream_id, self.peak, self.answered, self.failed, self.unserved
        )
        self.answered = self.failed = self.unserved = 0
        self.peak = 0.0
        return numbers

    def recent(self) -> Recent | None:
        """What is to be told of its traffic, if anything is."""
        return self.traffic.recent(self.meter.in_flight, self.meter.waiting)

    def is_forgotten(self, now: float) -> bool:
        """Whether it is long ago that it had anything to do: a counter that ends is a rate lost."""
        return self.is_idle and now - self.traffic.used_at > KEEP_S

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand and nothing is left to count."""
        has_numbers = self.answered or self.failed or self.unserved or self.peak
        return not (self.meter.in_flight or self.meter.waiting or has_numbers)


@dataclass(frozen=True, slots=True)
class Report:
    """A load to write. `is_urgent`: the reconciler is to look at once."""

    tenant: str
    stream_id: int
    in_flight: float
    waiting: int
    is_urgent: bool


@dataclass(frozen=True, slots=True)
class Numbers:
    """A stream's traffic over an interval. `unserved` found no replica, and are not `failed`."""

    tenant: str
    stream_id: int
    in_flight: float
    answered: int
    failed: int
    unserved: int


class Told:
    """What was last written of a stream's load. Times are of any one clock."""

    def __init__(self) -> None:
        self.value, self._at = 0.0, float("-inf")
        self._peak = 0.0

    def news(self, mean: float, now: float) -> News:
        """Whether to write; then `value` is what, and it counts as written."""
        self._peak = max(self._peak, mean)
        before = self.value if now - self._at < FORGOTTEN_S else 0.0
        if self._peak > before * RISE_RATIO + RISE_STEP:
            return self._tell("risen", now)
        if self._peak > 0 and now - self._at >= LOAD_RENEW_S:
            return self._tell("renewed", now)
        return ""

    def _tell(self, news: News, now: float) -> News:
        self.value, self._at, self._peak = self._peak, now, 0.0
        return news
