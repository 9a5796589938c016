"""How much a stream has in hand here, and when that is worth telling.

A load is written when it has risen notably, and renewed while there is any; a stream that is idle,
or one whose replicas are always as many, costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from hookline.core.records import LOAD_RENEW_S

RISE_RATIO, RISE_STEP = 1.1, 0.5  # a load that has risen by more is told at once
FORGOTTEN_S = 3 * LOAD_RENEW_S

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
