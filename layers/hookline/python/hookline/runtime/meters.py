"""What a replica counts of its own work, and tells as Prometheus text to who asks at /metrics.

The hot path adds to a plain list, once per batch and not per request where it can be helped.
Workers that share a port each copy theirs into shared memory every second, so that whichever of
them is asked answers for all; one that is started again goes on from what its place had counted.
"""

from __future__ import annotations

import mmap
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from hookline.core.exposition import ITEMS, SECONDS, Family, Sample, exposition
from hookline.runtime.items import Laps

PUBLISH_S = 1.0
GONE = 499  # what proxies write for a client that did not wait for its answer

_STATUSES = (*(status.value for status in HTTPStatus), GONE)
_BYTES = array("d").itemsize


@dataclass(frozen=True, slots=True)
class _Shape:
    """Where a histogram's buckets lie: one per bound, one for what is above, then the sum."""

    name: str
    help: str
    bounds: tuple[float, ...]
    at: int

    @property
    def sum_at(self) -> int:
        return self.at + len(self.bounds) + 1


def _shapes(start: int) -> Iterator[_Shape]:
    for name, text, bounds in (
        ("queue_seconds", "Time from a whole request to the start of its batch.", SECONDS),
        ("request_seconds", "Time from a whole request to its answer.", SECONDS),
        ("batch_items", "Requests in a batch.", ITEMS),
        ("preprocess_seconds", "Time that a batch was preprocessed.", SECONDS),
        ("predict_seconds", "Time that the model ran for a batch.", SECONDS),
        ("postprocess_seconds", "Time that a batch was postprocessed.", SECONDS),
    ):
        yield _Shape(name, text, bounds, start)
        start += len(bounds) + 2


_WAITING, _RUNNING, _FIRST = 0, 1, 2
_STATUS_AT = {status: _FIRST + place for place, status in enumerate(_STATUSES)}
_SHAPES = tuple(_shapes(_FIRST + len(_STATUSES)))
_SIZE = _SHAPES[-1].sum_at + 1
_QUEUE, _REQUEST, _BATCH, *_STAGES = (shape.at for shape in _SHAPES)
_QUEUE_SUM, _REQUEST_SUM, _BATCH_SUM, *_STAGE_SUMS = (shape.sum_at for shape in _SHAPES)
_PREPROCESS, _PREDICT, _POSTPROCESS = _STAGES
_PREPROCESS_SUM, _PREDICT_SUM, _POSTPROCESS_SUM = _STAGE_SUMS

Gauges = Callable[[], tuple[int, int]]
"""How many requests wait, and how many are in batches that run."""


class Arrived(Protocol):
    """A request that has been in a batch."""

    arrived_s: float


class Meters:
    """The counters of one process of a replica. One thread counts, the event loop's."""

    def __init__(self, shared: memoryview[float], place: int) -> None:
        self._shared, self._place = shared, place
        self._own = shared[place * _SIZE : (place + 1) * _SIZE]
        self._cells = [float(count) for count in self._own]
        self._cells[_WAITING] = self._cells[_RUNNING] = 0.0
        self.gauges: Gauges = _nothing

    @classmethod
    def alone(cls) -> Meters:
        """For a replica that is one process."""
        return cls(_room(1), 0)

    def again(self) -> Meters:
        """For a process that follows one that has ended: its counts go on."""
        return Meters(self._shared, self._place)

    @property
    def has_company(self) -> bool:
        """Whether others count beside this process."""
        return len(self._shared) > _SIZE

    def answered(self, status: int) -> None:
        """A request was answered with `status`; GONE for one whose client has left."""
        self._cells[_STATUS_AT[status]] += 1.0

    def ran(self, batch: Sequence[Arrived], laps: Laps, now_s: float) -> None:
        """A batch has run; `now_s` of the monotonic clock."""
        cells, count, began_s = self._cells, len(batch), laps.began_s
        if count == 1:
            total_s = batch[0].arrived_s
            cells[_QUEUE + bisect_left(SECONDS, began_s - total_s)] += 1.0
            cells[_REQUEST + bisect_left(SECONDS, now_s - total_s)] += 1.0
        else:
            arrived_s = [each.arrived_s for each in batch]
            total_s = sum(arrived_s)
            self._spread(_QUEUE, began_s, arrived_s)
            self._spread(_REQUEST, now_s, arrived_s)
        cells[_QUEUE_SUM] += began_s * count - total_s
        cells[_REQUEST_SUM] += now_s * count - total_s
        cells[_BATCH + bisect_left(ITEMS, count)] += 1.0
        cells[_BATCH_SUM] += count
        cells[_PREPROCESS + bisect_left(SECONDS, laps.preprocess_s)] += 1.0
        cells[_PREPROCESS_SUM] += laps.preprocess_s
        cells[_PREDICT + bisect_left(SECONDS, laps.predict_s)] += 1.0
        cells[_PREDICT_SUM] += laps.predict_s
        cells[_POSTPROCESS + bisect_left(SECONDS, laps.postprocess_s)] += 1.0
        cells[_POSTPROCESS_SUM] += laps.postprocess_s

    def _spread(self, at: int, end_s: float, arrived_s: Sequence[float]) -> None:
        """Count the times from these to `end_s`; mostly all of a batch have the same bucket."""
        cells = self._cells
        least = bisect_left(SECONDS, end_s - max(arrived_s))
        if least == bisect_left(SECONDS, end_s - min(arrived_s)):
            cells[at + least] += len(arrived_s)
            return
        for one_s in arrived_s:
            cells[at + bisect_left(SECONDS, end_s - one_s)] += 1.0

    def publish(self) -> None:
        """Let the other processes know."""
        self._cells[_WAITING], self._cells[_RUNNING] = self.gauges()
        self._own[:] = array("d", self._cells)

    def text(self, labels: Mapping[str, str]) -> str:
        """What all processes together have counted, in Prometheus' text format."""
        self.publish()
        every = self._shared.tolist()
        sums = [sum(every[place::_SIZE]) for place in range(_SIZE)]
        return exposition(_families(sums, labels))


def shared(count: int) -> list[Meters]:
    """Those of `count` processes that are forked from this one."""
    room = _room(count)
    return [Meters(room, place) for place in range(count)]


def _room(count: int) -> memoryview[float]:
    return memoryview(mmap.mmap(-1, count * _SIZE * _BYTES)).cast("d")


def _nothing() -> tuple[int, int]:
    return 0, 0


def _families(sums: Sequence[float], labels: Mapping[str, str]) -> Iterator[Family]:
    answered = [
        Sample("", {**labels, "status": str(status)}, sums[at])
        for status, at in _STATUS_AT.items()
        if sums[at]
    ]
    yield Family("hookline_requests_total", "counter", "Requests answered, by status.", answered)
    waiting, running = sums[_WAITING], sums[_RUNNING]
    yield Family(
        "hookline_requests_in_flight",
        "gauge",
        "Predictions that wait or run.",
        [Sample("", labels, waiting + running)],
    )
    yield Family(
        "hookline_queue_items",
        "gauge",
        "Predictions that wait for a batch.",
        [Sample("", labels, waiting)],
    )
    for shape in _SHAPES:
        series = [(labels, sums[shape.at : shape.sum_at], sums[shape.sum_at])]
        yield Family.histogram(f"hookline_{shape.name}", shape.help, shape.bounds, series)
