"""What a gateway has answered for a stream: for Prometheus since the start, and of late."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from hookline.core.exposition import ITEMS, SECONDS
from hookline.core.loads import TRAFFIC_S, Recent, bucket_of
from hookline.core.timing import Timing

GONE = 499  # what proxies write for a client that did not wait for its answer

_SERVER_FAULT = 500


class Tally:
    """A histogram: one count per bound, one for what is above, and the sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0

    def note(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class _Window:
    """What is added up until it is told."""

    since: float
    answered: int = 0
    failed: int = 0
    latencies: Counter[int] = field(default_factory=Counter)
    timed: int = 0
    queue_ms: float = 0.0
    batch_items: int = 0


class Traffic:
    """One stream's. Times are of `timer`, whose zero does not matter."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self.used_at = float("-inf")
        self.statuses: Counter[int] = Counter()
        self.request, self.gateway = Tally(SECONDS), Tally(SECONDS)
        self.queue, self.preprocess, self.predict, self.postprocess = (
            Tally(SECONDS) for _ in range(4)
        )
        self.batch = Tally(ITEMS)
        self._window = _Window(timer())

    def note(self, status: int, took_s: float, timing: Timing | None) -> None:
        """A request was answered; `timing` is what its replica told, if one did."""
        self.used_at, window = self._timer(), self._window
        self.statuses[status] += 1
        self.request.note(took_s)
        window.answered += 1
        window.failed += status >= _SERVER_FAULT
        window.latencies[bucket_of(took_s)] += 1
        if timing is None:
            return
        self.gateway.note((timing.gateway_ms or 0.0) / 1000)
        self.queue.note(timing.queue_ms / 1000)
        self.preprocess.note(timing.preprocess_ms / 1000)
        self.predict.note(timing.predict_ms / 1000)
        self.postprocess.note(timing.postprocess_ms / 1000)
        self.batch.note(timing.batch_items)
        window.timed += 1
        window.queue_ms += timing.queue_ms
        window.batch_items += timing.batch_items

    def recent(self, in_flight: int, waiting: int) -> Recent | None:
        """What there is to tell: once per TRAFFIC_S, and nothing while nothing happens."""
        now, window = self._timer(), self._window
        if not (window.answered or in_flight or waiting):
            window.since = now
            return None
        span_s = now - window.since
        if span_s < TRAFFIC_S:
            return None
        self._window = _Window(now)
        return Recent(
            span_s=span_s,
            answered=window.answered,
            failed=window.failed,
            in_flight=in_flight,
            waiting=waiting,
            latencies=tuple(sorted(window.latencies.items())),
            timed=window.timed,
            queue_ms=window.queue_ms,
            batch_items=window.batch_items,
        )
