"""What was measured at one level of load, and whether it can be believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from hookline.bench.load import Seen
from hookline.core.timing import Timing

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
STABLE_WINDOWS = 3

_OK = range(200, 300)
_BUSY = 0.9
_KEPT_UP = 0.95

Milliseconds = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen in a stretch of time. `busy`: the share of it that the generator computed."""

    seconds: float
    seen: Seen
    busy: float

    @property
    def per_s(self) -> float:
        return len(self.seen.latencies_s) / self.seconds

    def latency_ms(self, percentile: float | None) -> float:
        """The mean, or a percentile; 0 where nothing was answered."""
        values = np.asarray(self.seen.latencies_s)
        if not len(values):
            return 0.0
        found = values.mean() if percentile is None else np.percentile(values, percentile)
        return 1000 * float(found)


@dataclass(frozen=True, slots=True)
class Level:
    """The outcome at one concurrency, or one rate. Latencies in milliseconds, sorted.

    `corrected`: with what a stalled connection would have asked meanwhile; empty in an open loop,
    whose latencies count from when a request was due and need no correction.
    """

    is_open: bool
    load: float
    windows: tuple[Window, ...]
    is_stable: bool
    latencies_ms: Milliseconds
    corrected_ms: Milliseconds
    statuses: Counter[int]
    timings: tuple[Timing, ...]

    @classmethod
    def of(cls, *, is_open: bool, load: float, windows: Sequence[Window], stable: bool) -> Level:
        """Of the windows that count, together."""
        taken = [np.asarray(window.seen.latencies_s) for window in windows]
        latencies_ms = 1000 * np.sort(np.concatenate(taken)) if taken else np.empty(0)
        return cls(
            is_open=is_open,
            load=load,
            windows=tuple(windows),
            is_stable=stable,
            latencies_ms=latencies_ms,
            corrected_ms=np.empty(0) if is_open else corrected(latencies_ms),
            statuses=sum((window.seen.statuses for window in windows), Counter()),
            timings=tuple(timing for window in windows for timing in window.seen.timings),
        )

    @property
    def seconds(self) -> float:
        return sum(window.seconds for window in self.windows)

    @property
    def per_s(self) -> float:
        return len(self.latencies_ms) / self.seconds if self.seconds else 0.0

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if status not in _OK)

    @property
    def mean_ms(self) -> float:
        return float(self.latencies_ms.mean()) if len(self.latencies_ms) else 0.0

    def percentile_ms(self, percent: float, *, is_corrected: bool = False) -> float:
        """0 where nothing was answered."""
        values = self.corrected_ms if is_corrected else self.latencies_ms
        return float(np.percentile(values, percent)) if len(values) else 0.0

    def stage_ms(self, name: str) -> float:
        """The mean time that replicas told for a stage; 0 where they told none."""
        return (
            fmean(getattr(one, f"{name}_ms") or 0.0 for one in self.timings)
            if self.timings
            else 0.0
        )

    @property
    def batch_items(self) -> float:
        return fmean(one.batch_items for one in self.timings) if self.timings else 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known before the numbers are believed."""
        return tuple(self._notes())

    def _notes(self) -> list[str]:
        notes = []
        if not self.is_stable:
            notes.append("not stable: the last windows differ; measure longer")
        busy = max((window.busy for window in self.windows), default=0.0)
        if busy > _BUSY:
            notes.append(f"the generator itself was at its end ({busy:.0%} of a core)")
        if self.is_open and self.per_s < _KEPT_UP * self.load and self.seconds:
            notes.append(
                f"the target did not keep up with {self.load:g}/s: latencies grow with the run"
            )
        if self.failed:
            by_status = ", ".join(
                f"{count} × {status or 'no answer'}"
                for status, count in sorted(self.statuses.items())
                if status not in _OK
            )
            notes.append(f"failed: {by_status}")
        return notes

    def as_json(self) -> dict[str, Any]:
        """All of it but the single latencies."""
        values = {
            f"p{percent:g}_ms": round(self.percentile_ms(percent), 4) for percent in PERCENTILES
        }
        fixed = {
            f"corrected_p{percent:g}_ms": round(self.percentile_ms(percent, is_corrected=True), 4)
            for percent in PERCENTILES
            if not self.is_open
        }
        stages = ("queue", "preprocess", "predict", "postprocess", "gateway")
        spent = {f"{stage}_ms": round(self.stage_ms(stage), 4) for stage in stages}
        return {
            "loop": "open" if self.is_open else "closed",
            "rate_per_s" if self.is_open else "concurrency": self.load,
            "requests": len(self.latencies_ms),
            "seconds": round(self.seconds, 3),
            "requests_per_s": round(self.per_s, 3),
            "failed": self.failed,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "mean_ms": round(self.mean_ms, 4),
            **values,
            "max_ms": round(float(self.latencies_ms[-1]), 4) if len(self.latencies_ms) else 0.0,
            **fixed,
            "batch_items": round(self.batch_items, 3),
            **spent,
            "is_stable": self.is_stable,
            "notes": list(self.notes),
        }


def corrected(latencies_ms: Milliseconds) -> Milliseconds:
    """Latencies of a closed loop with those that it left out, sorted.

    A connection that waits does not ask. Had it gone on asking as often as it usually does, which
    is every median latency, each long answer would have been seen by as many requests, ever less
    late: HdrHistogram's correction of coordinated omission.
    """
    if not len(latencies_ms):
        return latencies_ms
    interval = float(np.median(latencies_ms))
    if interval <= 0:
        return latencies_ms
    counts = np.maximum(np.floor(latencies_ms / interval).astype(np.int64) - 1, 0)
    ends = np.cumsum(counts)
    steps = np.arange(ends[-1]) - np.repeat(ends - counts, counts) + 1
    missed = np.repeat(latencies_ms, counts) - steps * interval
    return np.sort(np.concatenate([latencies_ms, missed]))


def is_stable(windows: Sequence[Window], tolerance: float, percentile: float | None) -> bool:
    """Whether the last windows agree in requests per second and latency, within `tolerance`."""
    last = windows[-STABLE_WINDOWS:]
    if len(last) < STABLE_WINDOWS or not all(len(window.seen.latencies_s) for window in last):
        return False
    rates = [window.per_s for window in last]
    latencies = [window.latency_ms(percentile) for window in last]
    return all(
        max(values) <= (1 + tolerance) * fmean(values)
        and min(values) >= (1 - tolerance) * fmean(values)
        for values in (rates, latencies)
    )
