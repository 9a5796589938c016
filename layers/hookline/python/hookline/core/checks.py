"""What every adapter refuses, so that all refuse alike: what is over the limits, stale writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hookline.core.errors import Conflict, InvalidInput
from hookline.core.ports import (
    MAX_DELAY_S,
    MAX_KEY_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_NAME_BYTES,
    MAX_RECORD_BYTES,
    MAX_RECORD_KEY_BYTES,
    MAX_TENANT_BYTES,
    MAX_TRANSACTION_BYTES,
    MAX_WRITES,
    Delete,
    Put,
)
from hookline.core.records import Record
from hookline.core.topology import QueueSpec

_PATH_TRICK = re.compile(r"(\A|/)(\.{0,2})(/|\Z)")


def check_blob_key(key: str) -> str:
    """Return `key` if every store can hold it, else raise InvalidInput saying why not."""
    try:
        size = len(key.encode())
        longest = max(len(part.encode()) for part in key.split("/"))
    except UnicodeEncodeError:
        raise _bad_key(key, "It is not valid UTF-8.") from None
    if not 1 <= size <= MAX_KEY_BYTES:
        raise _bad_key(key, f"Names have 1 to {MAX_KEY_BYTES} bytes.")
    if longest > MAX_NAME_BYTES:
        raise _bad_key(key, f"Each part of a path has at most {MAX_NAME_BYTES} bytes.")
    if _PATH_TRICK.search(key):
        raise _bad_key(key, "Empty parts, '.' and '..' are not allowed in a path.")
    if "\0" in key:
        raise _bad_key(key, "It contains a NUL character.")
    return key


def _bad_key(key: str, why: str) -> InvalidInput:
    shown = key[:80].encode("utf-8", "replace").decode()
    return InvalidInput(f"The name {shown!r} cannot be stored.", why=why, hint="Rename the file.")


def check_limit(limit: int, most: int) -> int:
    """Return `limit` if it is from 1 to `most`, else raise InvalidInput."""
    if not 1 <= limit <= most:
        raise InvalidInput(f"The limit {limit} is out of range.", why=f"It is from 1 to {most}.")
    return limit


def check_record_key(tenant: str, kind: str, key: str) -> None:
    """Refuse a key, or the beginning of one, that some catalog could not hold."""
    try:
        tenant_bytes, key_bytes = len(tenant.encode()), len(f"{kind}#{key}".encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"The {kind} {key!r} cannot be stored: it is not text.") from None
    if tenant_bytes > MAX_TENANT_BYTES:
        raise InvalidInput(
            f"The tenant {tenant[:80]!r}… has too long a name.",
            why=f"It has {tenant_bytes} bytes; at most {MAX_TENANT_BYTES} are possible.",
        )
    if key_bytes > MAX_RECORD_KEY_BYTES:
        raise InvalidInput(
            f"The {kind} {key[:80]!r}… has too long a key.",
            why=f"With its kind it has {key_bytes} bytes; at most {MAX_RECORD_KEY_BYTES} are "
            "possible.",
        )


def check_delay(queue: QueueSpec, delay_s: int) -> None:
    """Refuse a delay that some queue could not make."""
    if not 0 <= delay_s <= MAX_DELAY_S:
        raise InvalidInput(
            f"A message cannot be delayed by {delay_s} s.",
            why=f"Queues delay by at most {MAX_DELAY_S} s.",
        )
    if queue.is_fifo and delay_s not in (0, queue.delay_s):
        raise InvalidInput(
            f"A message to {queue.name} cannot be delayed by {delay_s} s.",
            why=f"A FIFO queue delays its messages alike, this one by {queue.delay_s} s.",
        )


def check_messages(bodies: Iterable[bytes]) -> None:
    """Refuse a body that some queue could not carry."""
    for body in bodies:
        if len(body) > MAX_MESSAGE_BYTES:
            raise InvalidInput(
                f"A message of {len(body)} bytes is too large.",
                why=f"Queues carry at most {MAX_MESSAGE_BYTES} bytes.",
                hint="Store the data as a blob and send its key.",
            )


def check_writes(writes: Sequence[Put | Delete]) -> None:
    """Refuse a transaction that some catalog could not make."""
    if not 1 <= len(writes) <= MAX_WRITES:
        raise InvalidInput(
            f"A transaction of {len(writes)} writes is impossible.",
            why=f"A transaction has 1 to {MAX_WRITES} writes.",
        )
    for write in writes:
        check_record_key(write.record.tenant, write.record.kind, write.record.key)
    size_bytes = sum(len(encoded(w.record).encode()) for w in writes if isinstance(w, Put))
    if size_bytes > MAX_TRANSACTION_BYTES:
        raise InvalidInput(
            f"A transaction of {size_bytes} bytes is too large.",
            why=f"The records of a transaction have at most {MAX_TRANSACTION_BYTES} bytes.",
        )
    keys = {(w.record.tenant, w.record.kind, w.record.key) for w in writes}
    if len(keys) != len(writes):  # DynamoDB refuses two operations on one item
        raise InvalidInput("A transaction may touch each record once.")


def encoded(record: Record) -> str:
    """The record as the JSON text that is stored, size checked."""
    text = record.model_dump_json(exclude={"version"})
    if len(text.encode()) > MAX_RECORD_BYTES:
        raise InvalidInput(
            f"The {record.kind} record {record.key} is too large to store.",
            why=f"It has {len(text.encode())} bytes; a record has at most {MAX_RECORD_BYTES}.",
        )
    return text


def moved_on(record: Record) -> Conflict:
    """Why a record is not written whose stored version is another than its own."""
    if record.version == 0:
        return Conflict(f"The {record.kind} {record.key} exists already.")
    return Conflict(
        f"The {record.kind} {record.key} was changed by someone else.",
        hint="Read it again, then retry.",
    )
