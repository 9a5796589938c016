"""HTTP/1.1 as our servers speak it: uvicorn's protocol, which alone waits and reads for ever."""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hookline.runtime.asgi import CALLER, IS_WHOLE, Caller, Scope

MAX_HEAD_BYTES = 16 * 1024
HEAD_TIMEOUT_S = 10.0
LINGER_S = 2.0  # for the rest of a body that was refused: closing at once would lose the answer

_HEADER_BYTES = 32  # what each header costs beside its text
_ONCE = frozenset({b"host", b"authorization", b"content-type"})  # two would be read two ways


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request line and headers are large, late or ambiguous."""

    _head_bytes = _unparsed_bytes = 0
    _is_trailer = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._caller = Caller()
        self._expect(HEAD_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_come()
        super().connection_lost(exc)
        self._caller.go()

    def data_received(self, data: bytes) -> None:
        """Refuse what grows in the parser without becoming a head or a body."""
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self.send_400_response("The request's head is too large.")
        elif self._timer is None and self.cycle.response_complete:
            self._expect(HEAD_TIMEOUT_S)  # uvicorn waits for ever once a byte has come

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("Scope", self.scope)[CALLER] = self._caller
        self._head_bytes, self._is_trailer = 0, False
        self._expect(HEAD_TIMEOUT_S)

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are dropped: who has been asked already does not look at headers again."""
        self._count(len(name) + len(value) + _HEADER_BYTES)
        if self._is_trailer:
            return
        if name.lower() in _ONCE and any(kept == name.lower() for kept, _ in self.headers):
            raise ValueError(name)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unparsed_bytes, self._is_trailer = 0, True
        self._has_come()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed_bytes = 0
        self._has_come()
        cast("Scope", self.scope)[IS_WHOLE] = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._expect(LINGER_S)

    def _count(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError(self._head_bytes)  # the parser turns it into a 400

    def _expect(self, within_s: float) -> None:
        """Close the connection unless what is due comes in time."""
        self._has_come()
        self._timer = self.loop.call_later(within_s, self.transport.close)

    def _has_come(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
