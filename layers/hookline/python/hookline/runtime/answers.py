"""The bytes of an HTTP/1.1 answer, and the sentences that every answer of a replica shares."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

from hookline.core.errors import HooklineError, plain_error, problem

Header = tuple[bytes, bytes]

HANG_UP = (b"connection", b"close")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
RETRY_AFTER_S = b"1"

_HANG_UP_LINE = b"connection: close\r\n"
_SEE_LOG = "The log of the stream has the lines of the hook: `hookline stream logs ID`."
_START_LINES = {
    each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus
}


class _Start:
    """Status line and date of a 200, written once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._line = self._ok = b""

    def ok(self) -> bytes:
        self.date_line()
        return self._ok

    def date_line(self) -> bytes:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._line = b"date: %b\r\n" % formatdate(now, usegmt=True).encode()
            self._ok = _START_LINES[200] + self._line
        return self._line


_start = _Start()


def ok(
    head: bytes, request_id: bytes, body: bytes, *, hangs_up: bool, rest_bytes: int = 0
) -> bytes:
    """A 200 with a head line of the caller's, such as the content type, its end included.

    `rest_bytes` of the body are sent after this.
    """
    return b"%b%bx-request-id: %b\r\n%bcontent-length: %d\r\n\r\n%b" % (
        _start.ok(),
        head,
        request_id,
        _HANG_UP_LINE if hangs_up else b"",
        len(body) + rest_bytes,
        body,
    )


def plain(status: int, headers: Iterable[Header], body: bytes, *, has_body: bool = True) -> bytes:
    """Any answer; one to HEAD has no body, and tells the length that it would have had."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    length = b"content-length: %d\r\n\r\n" % len(body)
    return _START_LINES[status] + _start.date_line() + lines + length + body * has_body


def problem_of(
    error: HooklineError, request_id: bytes, *, is_plain: bool = False
) -> tuple[list[Header], bytes]:
    """Headers and body of RFC 9457 problem details; what may be retried says when.

    The trace of the user's code stays in the log. `is_plain`: as other protocols tell errors.
    """
    hint = error.hint or (_SEE_LOG if error.trace else "")
    shown = type(error)(error.what, why=error.why, hint=hint)
    kind = b"application/json" if is_plain else b"application/problem+json"
    headers = [(b"content-type", kind), (b"x-request-id", request_id)]
    if error.retryable:
        headers.append((b"retry-after", RETRY_AFTER_S))
    members = plain_error if is_plain else problem
    return headers, json.dumps(members(shown, request_id=request_id.decode())).encode()
