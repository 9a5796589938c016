"""Records of how much streams have to do: what gateways tell, and what the reconciler remembers."""

from __future__ import annotations

import math
from typing import ClassVar

from hookline.core.records import Record, Value, number

LOAD_RENEW_S = 10.0  # how often a gateway says that a load goes on
TRAFFIC_S = 5.0  # how often it tells what it answers, while it answers anything

_PER_DOUBLING = 8
_LEAST_S = 1e-6


class Load(Record):
    """What a gateway has in hand for a stream: a lease, renewed while there is any.

    `in_flight` is the highest mean over a short interval since it was written before.
    """

    kind: ClassVar[str] = "load"
    stream_id: int
    gateway_id: str
    in_flight: float
    waiting: int = 0
    updated_at: float

    @property
    def key(self) -> str:
        return f"{number(self.stream_id)}/{self.gateway_id}"


class Needed(Value):
    """How many replicas a stream's load took at a time."""

    at: float
    replicas: int


class Demand(Record):
    """What a stream has needed of late: later entries need fewer replicas than earlier ones."""

    kind: ClassVar[str] = "demand"
    stream_id: int
    recent: tuple[Needed, ...] = ()

    @property
    def key(self) -> str:
        return number(self.stream_id)


def bucket_of(seconds: float) -> int:
    """The class of a latency: eight for each doubling, so within 5 % of its middle."""
    return round(_PER_DOUBLING * math.log2(max(seconds, _LEAST_S)))


def seconds_of(bucket: int) -> float:
    """The middle of a class."""
    return float(2 ** (bucket / _PER_DOUBLING))


class Recent(Value):
    """What a gateway answered for a stream within the last `span_s` seconds.

    `latencies`: pairs of a `bucket_of` and how many. `queue_ms` and `batch_items` are sums over the
    `timed` requests whose replica told them.
    """

    span_s: float
    answered: int
    failed: int
    in_flight: int
    waiting: int
    latencies: tuple[tuple[int, int], ...] = ()
    timed: int = 0
    queue_ms: float = 0.0
    batch_items: int = 0


class Traffic(Record):
    """What a gateway tells of a stream that is used; what is older than some TRAFFIC_S is over."""

    kind: ClassVar[str] = "traffic"
    stream_id: int
    gateway_id: str
    recent: Recent
    updated_at: float

    @property
    def key(self) -> str:
        return f"{number(self.stream_id)}/{self.gateway_id}"
