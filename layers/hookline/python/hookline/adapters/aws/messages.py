"""How a message's bytes travel through SQS, which carries text.

Text that SQS can carry goes as it is, so that AWS's own messages and ours look alike. Anything
else goes in base64, and the message attribute `encoding` says so.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import uuid4

from hookline.core.ports import Lease

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef, SendMessageBatchRequestEntryTypeDef

ENCODING = "encoding"

_BATCH_ITEMS, _BATCH_BYTES = 10, 1 << 20  # SendMessageBatch API; attributes count as well
_ATTRIBUTE_BYTES = 64
# The characters that SendMessage takes, which are XML's; at least one of them.
_TEXT = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")


def batches(
    bodies: Sequence[bytes], *, delay_s: int, is_fifo: bool
) -> Iterator[list[SendMessageBatchRequestEntryTypeDef]]:
    """As few requests as SQS allows for these messages."""
    batch: list[SendMessageBatchRequestEntryTypeDef] = []
    batch_bytes = 0
    for body in bodies:
        entry = _entry(body, delay_s, is_fifo=is_fifo)
        entry_bytes = len(entry["MessageBody"].encode()) + _ATTRIBUTE_BYTES
        if len(batch) == _BATCH_ITEMS or (batch and batch_bytes + entry_bytes > _BATCH_BYTES):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(entry)
        batch_bytes += entry_bytes
    if batch:
        yield batch


def lease_of(queue: str, message: MessageTypeDef) -> Lease:
    """A received message as the port has it."""
    attempts = int(message["Attributes"]["ApproximateReceiveCount"])
    return Lease(queue, message["MessageId"], _body(message), message["ReceiptHandle"], attempts)


def _entry(body: bytes, delay_s: int, *, is_fifo: bool) -> SendMessageBatchRequestEntryTypeDef:
    text = _as_text(body)
    entry: SendMessageBatchRequestEntryTypeDef = {"Id": uuid4().hex, "MessageBody": text or ""}
    if text is None:
        entry["MessageBody"] = b64encode(body).decode() + "\n"  # SQS refuses an empty body
        entry["MessageAttributes"] = {ENCODING: {"DataType": "String", "StringValue": "base64"}}
    if is_fifo:
        # One at a time for equal bodies, and none of them swallowed as a duplicate. A FIFO queue
        # delays all its messages alike, by its own DelaySeconds.
        entry["MessageGroupId"] = sha256(body).hexdigest()
        entry["MessageDeduplicationId"] = entry["Id"]
    elif delay_s:
        entry["DelaySeconds"] = delay_s
    return entry


def _as_text(body: bytes) -> str | None:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if _TEXT.fullmatch(text) else None


def _body(message: MessageTypeDef) -> bytes:
    is_encoded = ENCODING in message.get("MessageAttributes", {})
    return b64decode(message["Body"]) if is_encoded else message["Body"].encode()
