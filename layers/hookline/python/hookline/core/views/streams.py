"""What the HTTP API answers of streams."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from hookline.core.records import Failure, Replica, Stream, StreamStatus
from hookline.core.views.view import ServingView, View, serving_fields


class StreamView(ServingView):
    """A deployment of a model. `replicas` are wanted now, `ready_replicas` of them answer.

    `addresses` are those of them that whoever runs this machine may call without the gateway.
    `edition` is for the If-Match of a change. What failed of one that is Running is its update.
    """

    id: int
    model_id: int
    status: StreamStatus
    replicas: int
    ready_replicas: int
    addresses: tuple[str, ...]
    min_replicas: int
    max_replicas: int
    target_in_flight: int
    edition: int
    failure: Failure | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, stream: Stream, ready: Sequence[Replica], **more: Any) -> Self:
        counted = {"ready_replicas": len(ready), "addresses": _on_this_machine(ready)}
        return cls.model_validate(
            {**dict(stream), **serving_fields(stream.serving), **counted, **more}
        )


def _on_this_machine(replicas: Sequence[Replica]) -> tuple[str, ...]:
    """Their sockets in the file system, whose modes guard them; of networks nothing is told."""
    return tuple(each.address for each in replicas if each.address.startswith("unix:"))


class DeployedView(StreamView):
    """A stream and the token to predict with, which is shown this once."""

    presigned_token: str


class StreamStatusView(View):
    """How far a change of a stream has come."""

    id: int
    status: StreamStatus


class TokenView(View):
    """A token to predict with, which is shown this once."""

    id: int
    presigned_token: str


class LogsView(View):
    """Lines of a log, and the position to ask from next."""

    lines: tuple[str, ...]
    after: int


class TrafficView(View):
    """What a stream answered within the last seconds: through its gateways, all of them together.

    `p50_ms` and `p99_ms` are of whole requests; `queue_ms` is how long the mean request waited in
    its replica for a batch, of `batch_items`. None: there was no request. `held` requests wait for
    the first replica.
    """

    id: int
    status: str
    requests_per_s: float
    failed_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    queue_ms: float | None
    batch_items: float | None
    in_flight: int
    held: int
    replicas: int
    ready_replicas: int
