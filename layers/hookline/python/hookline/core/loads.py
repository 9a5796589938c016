"""Records of how much streams have to do: what gateways tell, and what the reconciler remembers."""

from __future__ import annotations

from typing import ClassVar

from hookline.core.records import Record, Value, number

LOAD_RENEW_S = 10.0  # how often a gateway says that a load goes on


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
