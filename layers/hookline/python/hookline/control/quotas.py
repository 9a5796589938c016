"""What a tenant may have at once: counted in the transaction that would add to it."""

from __future__ import annotations

from hookline.control.caller import Call
from hookline.control.transactions import Counter, Write
from hookline.core.errors import QuotaExceeded
from hookline.core.ports import Put
from hookline.core.records import STREAM_ENDS, Stream

_HINT = "Undeploy a stream, let one have fewer replicas, or ask your operator for a larger quota."


def check(call: Call, wanted: Stream) -> None:
    """Raise QuotaExceeded if the tenant would have too much with this stream.

    A stream counts with as many replicas as it may have, until it has failed or is undeployed.
    """
    most = call.ports.quotas
    if most.streams is None and most.replicas is None:
        return
    others = [
        stream
        for stream in call.every(Stream)
        if stream.status not in STREAM_ENDS and stream.id != wanted.id
    ]
    _compare("streams", len(others) + 1, most.streams)
    replicas = sum(stream.max_replicas for stream in others) + wanted.max_replicas
    _compare("replicas", replicas, most.replicas)


def in_turn(call: Call) -> list[Write]:
    """A write that makes one of two transactions plan again which both have checked.

    Those that make a stream have it already: the number.
    """
    counter = call.ports.catalog.get(Counter, call.tenant, Stream.kind)
    return [Put(counter)] if counter else []


def _compare(what: str, wanted: int, most: int | None) -> None:
    if most is not None and wanted > most:
        raise QuotaExceeded(
            f"Your tenant may have {most} {what}, and would have {wanted}.",
            why="Streams count with as many replicas as they may have." * (what == "replicas"),
            hint=_HINT,
        )
