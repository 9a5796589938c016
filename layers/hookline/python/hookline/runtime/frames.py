"""How a batch worker and its engine talk: length-prefixed msgpack on a stream socket.

Only these types cross, and never code: what an engine sends is data from the user's process.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from hookline.core.errors import BY_CODE, HooklineError, InvalidOutput
from hookline.runtime.items import Answer, Item, Outcome

MAX_FRAME_BYTES = 1 << 30

_LENGTH = struct.Struct(">I")
_CHUNK_BYTES = 1 << 20
_ENVELOPE_BYTES = 4096  # more than a row needs beside its body
_encode = msgspec.msgpack.Encoder().encode
_T = TypeVar("_T")


class Fault(msgspec.Struct, frozen=True, array_like=True):
    """A HooklineError on its way between processes."""

    code: str
    what: str
    why: str = ""
    hint: str = ""
    trace: str = ""

    @classmethod
    def of(cls, error: HooklineError) -> Fault:
        """`error` in text that UTF-8 can carry, whatever a hook put into it."""
        texts = (error.what, error.why, error.hint, error.trace)
        return cls(error.code, *(text.encode("utf-8", "replace").decode() for text in texts))

    def error(self) -> HooklineError:
        """The error again; an unknown code becomes a plain HooklineError."""
        kind = BY_CODE.get(self.code, HooklineError)
        return kind(self.what, why=self.why, hint=self.hint, trace=self.trace)


class Hello(msgspec.Struct, frozen=True):
    """The engine's first frame: it is ready, or why it never will be."""

    failure: Fault | None = None


class Request(msgspec.Struct, frozen=True):
    """One batch. `number` pairs it with its reply."""

    number: int
    items: list[Item]


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One outcome: exactly one of the two."""

    answer: Answer | None = None
    fault: Fault | None = None

    @classmethod
    def of(cls, outcome: Outcome) -> Row:
        """`outcome` as data."""
        if isinstance(outcome, HooklineError):
            return cls(fault=Fault.of(outcome))
        return cls(answer=outcome)

    def outcome(self) -> Outcome:
        """The outcome again."""
        if self.fault is not None:
            return self.fault.error()
        return self.answer or InvalidOutput("The engine sent an empty row.")


class Reply(msgspec.Struct, frozen=True):
    """One row per item of the request, in order."""

    number: int
    rows: list[Row]


class Closed(Exception):
    """The other side is gone, said nothing in time, or does not speak this language."""


def send(sock: socket.socket, message: msgspec.Struct, *, timeout_s: float | None = None) -> None:
    """Send one message; raise Closed when the other side does not take it in time."""
    payload = _encode(message)
    if len(payload) > MAX_FRAME_BYTES:
        raise Closed(f"A frame of {len(payload)} bytes is over the limit.")
    sock.settimeout(timeout_s)
    try:
        sock.sendall(_LENGTH.pack(len(payload)))
        sock.sendall(payload)
    except TimeoutError:
        raise Closed("It took no data in time.") from None
    except OSError as error:
        raise Closed("It closed its socket.") from error


def receive(sock: socket.socket, kind: type[_T], *, timeout_s: float | None = None) -> _T:
    """The next message, which must be of `kind`; raise Closed otherwise."""
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    (size_bytes,) = _LENGTH.unpack(_exactly(sock, _LENGTH.size, deadline_s))
    if size_bytes > MAX_FRAME_BYTES:
        raise Closed(f"It announced a frame of {size_bytes} bytes.")
    payload = _exactly(sock, size_bytes, deadline_s)
    try:
        return msgspec.msgpack.decode(payload, type=kind)
    except msgspec.MsgspecError as error:
        raise Closed("It sent a malformed frame.") from error


def _exactly(sock: socket.socket, size_bytes: int, deadline_s: float | None) -> bytearray:
    """That many bytes; memory grows with what arrives, not with what was announced."""
    data = bytearray()
    while len(data) < size_bytes:
        if deadline_s is not None:
            sock.settimeout(max(0.001, deadline_s - time.monotonic()))
        try:
            chunk = sock.recv(min(_CHUNK_BYTES, size_bytes - len(data)))
        except TimeoutError:
            raise Closed("It did not answer in time.") from None
        except OSError as error:
            raise Closed("Its socket broke.") from error
        if not chunk:
            raise Closed("It ended.")
        data += chunk
    return data


def fitting(outcomes: Sequence[Outcome], limit_bytes: int = MAX_FRAME_BYTES) -> list[Row]:
    """Rows that fit into one frame: the largest answers become InvalidOutput until they do."""
    rows = [Row.of(outcome) for outcome in outcomes]
    total_bytes = sum(map(_size_bytes, rows))
    for index in sorted(range(len(rows)), key=lambda i: -_size_bytes(rows[i])):
        if total_bytes <= limit_bytes:
            break
        size_bytes = _size_bytes(rows[index])
        error = InvalidOutput(f"The answer of {size_bytes} bytes is too large for its batch.")
        rows[index] = Row.of(error)
        total_bytes -= size_bytes - _size_bytes(rows[index])
    return rows


def _size_bytes(row: Row) -> int:
    """An upper bound of what `row` takes in a frame."""
    if row.answer is not None:
        return _ENVELOPE_BYTES + len(row.answer.body)
    return len(_encode(row))
