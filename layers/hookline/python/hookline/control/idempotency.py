"""Creates a resource once, however often the same request arrives.

The answer to an Idempotency-Key is remembered in the transaction that creates the resource.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import ClassVar, TypeVar

from pydantic import BaseModel

from hookline.control.caller import Call
from hookline.control.transactions import Write, commit, next_number
from hookline.core.errors import BadRequest, Conflict, IdempotencyMismatch
from hookline.core.ports import Put
from hookline.core.records import NumberedRecord, Record

R = TypeVar("R", bound=Record)
N = TypeVar("N", bound=NumberedRecord)

KEEP_S = 24 * 3600
MAX_KEY_CHARS = 255

Plan = Callable[[], tuple[R, Sequence[Write]]]
NumberedPlan = Callable[[int], tuple[N, Sequence[Write]]]


class Answered(Record):
    """What an Idempotency-Key was answered with; the same key gives the same resource."""

    kind: ClassVar[str] = "answered"
    sha256: str  # of operation, user and Idempotency-Key
    request_sha256: str
    resource: str  # its key
    created_at: float

    @property
    def key(self) -> str:
        return self.sha256


def create_numbered(
    call: Call, body: BaseModel, kind: type[N], plan: NumberedPlan[N]
) -> tuple[N, bool]:
    """As `create`, for a record that gets the next small id; `plan` is told the id."""

    def with_number() -> tuple[N, Sequence[Write]]:
        number, counted = next_number(call.ports.catalog, call.tenant, kind)
        record, writes = plan(number)
        return record, [counted, *writes]

    return create(call, body, kind, with_number)


def create(call: Call, body: BaseModel, kind: type[R], plan: Plan[R]) -> tuple[R, bool]:
    """Store the record that `plan` makes, with its other writes, and say that it is new.

    The same request with the same Idempotency-Key gives the record it gave before. Raise
    IdempotencyMismatch when the key came with another body.
    """

    def once() -> tuple[tuple[R, bool], Sequence[Write]]:
        answered = _answered(call, body)
        if answered is not None and answered.resource:
            return (_again(call, kind, answered.resource), False), []
        try:
            record, writes = plan()
        except Conflict:  # perhaps with what the same request, sent twice at once, has just made
            made = _answered(call, body)
            if made is None or not made.resource:
                raise
            return (_again(call, kind, made.resource), False), []
        remembered = [Put(answered.changed(resource=record.key))] if answered else []
        return (record, True), [Put(record), *writes, *remembered]

    return commit(call.ports.catalog, once)


def _answered(call: Call, body: BaseModel) -> Answered | None:
    """What the request was answered with, or what is to be filled in; None without a key."""
    key = call.idempotency_key
    if not key:
        return None
    if len(key) > MAX_KEY_CHARS:
        raise BadRequest(f"An Idempotency-Key has at most {MAX_KEY_CHARS} characters.")
    asked = _digest(body.model_dump_json())
    fresh = Answered(
        tenant=call.tenant,
        sha256=_digest(f"{call.operation}\n{call.user}\n{key}"),
        request_sha256=asked,
        resource="",
        created_at=call.now(),
    )
    stored = call.ports.catalog.get(Answered, call.tenant, fresh.sha256)
    if stored is None or stored.created_at < call.now() - KEEP_S:
        return fresh.changed(version=stored.version if stored else 0)
    if stored.request_sha256 != asked:
        raise IdempotencyMismatch(
            "This Idempotency-Key was used for another request.",
            hint="Make a new key for each request, and keep it for the retries of that request.",
        )
    return stored


def _again(call: Call, kind: type[R], resource: str) -> R:
    record = call.ports.catalog.get(kind, call.tenant, resource)
    if record is None:
        raise Conflict(
            f"The {kind.kind} that this Idempotency-Key made is gone.",
            hint="Send the request with another key to make one again.",
        )
    return record


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
