"""One kept-alive HTTP/1.1 connection of a bench: a request, its answer, the next request.

An answer that comes whole and says its length is read at a glance; any other goes to llhttp.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import cast

import httptools

from hookline.core.timing import NAME, Timing

BROKEN = 0
"""The status of an answer that never came."""

Tell = Callable[["Connection", int, bytes], None]
"""Gets the status and what Server-Timing says; a connection that broke is of no more use."""

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,12})\r\n", re.IGNORECASE)
_TIMING = re.compile(rb"\r\n" + NAME + rb": *([^\r]{1,1024})\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\n(?:connection: *close|transfer-encoding:)", re.IGNORECASE)
_START = b"HTTP/1.1 "
_STATUS = slice(len(_START), len(_START) + 3)


class _Answer:
    """httptools' callbacks for one answer."""

    def __init__(self) -> None:
        self.is_done = self.keeps_alive = False
        self.status, self.timing = BROKEN, b""
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == NAME:
            self.timing = value

    def on_message_complete(self) -> None:
        self.is_done = True
        self.status = self.parser.get_status_code()
        self.keeps_alive = self.parser.should_keep_alive()


class Connection(asyncio.Protocol):
    """`tell` is called for each answer. `due_s` is whatever who asks wants to remember."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._answer: _Answer | None = None
        self._is_asked = False
        self.is_open = False
        self.due_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def ask(self, request: bytes, due_s: float) -> None:
        """Send a request, the answer to the one before having come."""
        self.due_s, self._is_asked = due_s, True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._answer is None and self._is_asked and self._read_at_a_glance(data):
            return
        answer = self._answer = self._answer or _Answer()
        try:
            answer.parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()
            return
        if answer.is_done and self._is_asked:
            if not answer.keeps_alive:
                self.close()
            self._done(answer.status, answer.timing)

    def _read_at_a_glance(self, data: bytes) -> bool:
        end = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, end + 2) if end > 0 else None
        is_plain = data.startswith(_START) and not _CLOSES.search(data, 0, end + 2)
        if length is None or not is_plain or len(data) != end + 4 + int(length[1]):
            return False
        status = int(data[_STATUS])
        if status < 200:  # noqa: PLR2004 - 1xx comes before the answer
            return False
        timing = _TIMING.search(data, 0, end + 2)
        self._done(status, timing[1] if timing else b"")
        return True

    def _done(self, status: int, timing: bytes) -> None:
        self._answer, self._is_asked = None, False
        self._tell(self, status, timing)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - gone is gone
        self.is_open = False
        if self._is_asked:
            self._done(BROKEN, b"")

    def close(self) -> None:
        """Hang up; an answer that is still to come is not told."""
        self.is_open = False
        self._transport.close()

    def abandon(self) -> None:
        """As `close`, at once."""
        self._is_asked = self.is_open = False
        self._transport.abort()


def spent(timing: bytes) -> Timing | None:
    """What a header Server-Timing says."""
    return Timing.parsed(timing) if timing else None
