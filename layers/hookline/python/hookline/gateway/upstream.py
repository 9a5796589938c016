"""A small HTTP/1.1 client for one replica: kept connections over a unix or TCP socket.

Parsing is llhttp's, through httptools. A request is sent once; whether it was sent is known, so the
caller can try elsewhere exactly when nothing was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools

from hookline.core.errors import DeadlineExceeded, HooklineError, InvalidOutput, Unavailable

MAX_IDLE_S = 30.0  # well below the replicas' own keep-alive, so that they never close first
ANSWER_TIMEOUT_S = 75.0  # more than a replica that is well ever takes, which is 60 s
MAX_ANSWER_BYTES = 256 * 1024 * 1024

_STATUSES = range(200, 600)


class NotSent(Exception):
    """The replica could not be reached; it has not seen the request."""


@dataclass(slots=True)
class Response:
    """A replica's answer, whole."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""


class _Link(asyncio.Protocol):
    """One connection to a replica, which answers one request at a time on it.

    One timer serves it: it is set again when it rings, not per request.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Response] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = self._idle_since_s = 0.0
        self._response, self._pieces, self._size_bytes = Response(), list[bytes](), 0
        self._is_done = self._keeps_alive = False

    def ask(self, request: bytes) -> asyncio.Future[Response]:
        """Send a request; the future has its answer, or the error that came of it."""
        self._response, self._pieces, self._size_bytes = Response(), [], 0
        self._is_done = self._keeps_alive = False
        self._answer = answer = self._loop.create_future()
        self._due_s = self._loop.time() + ANSWER_TIMEOUT_S
        if self._timer is None:
            self._timer = self._loop.call_at(self._due_s, self._ring)
        self._transport.write(request)
        return answer

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent on it."""
        is_fresh = self._loop.time() - self._idle_since_s < MAX_IDLE_S
        return is_fresh and not self._transport.is_closing()

    def close(self) -> None:
        """Close without waiting for the other side to take what is left to send."""
        self._transport.abort()

    # The transport calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - gone is gone
        if self._timer is not None:
            self._timer.cancel()
        self._fail(_died())

    def data_received(self, data: bytes) -> None:
        """Parse what has come. What comes unasked ends the connection: it answers nobody."""
        self._size_bytes += len(data)
        if self._answer is None:
            self.close()
        elif self._size_bytes > MAX_ANSWER_BYTES:
            self._fail(_too_large())
        else:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError:
                self._fail(_died())
            else:
                if self._is_done:
                    self._finish(self._answer)

    # The parser calls these.

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_done:
            self._response.headers.append((name.lower(), value))

    def on_message_begin(self) -> None:
        if self._is_done:  # a second answer, which nobody has asked for
            self._keeps_alive = False

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self._is_done:
            return
        # llhttp forgets both when the message has ended, so they are asked for here.
        self._response.status = self._parser.get_status_code()
        self._keeps_alive = self._parser.should_keep_alive()
        self._response.body = b"".join(self._pieces)
        self._is_done = True

    def _finish(self, answer: asyncio.Future[Response]) -> None:
        status = self._response.status
        if status not in _STATUSES:
            self._fail(InvalidOutput(f"The replica answered with the status {status}."))
            return
        self._answer, self._idle_since_s = None, self._loop.time()
        if not self._keeps_alive:
            self.close()
        if not answer.done():
            answer.set_result(self._response)

    def _fail(self, error: HooklineError) -> None:
        answer, self._answer = self._answer, None
        self.close()
        if answer is not None and not answer.done():
            answer.set_exception(error)

    def _ring(self) -> None:
        self._timer = None
        if self._answer is None:
            return
        if self._loop.time() < self._due_s:
            self._timer = self._loop.call_at(self._due_s, self._ring)
        else:
            self._fail(_silent())


class Upstream:
    """One replica. `in_flight` counts the requests it is answering."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.in_flight = 0
        self._idle: list[_Link] = []

    async def ask(
        self, method: bytes, path: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> Response:
        """Raise NotSent if the replica was not reached, Unavailable if it died on the way.

        User code runs in that process, so it may do anything: raise DeadlineExceeded if it falls
        silent, InvalidOutput if its answer is endless or not HTTP's.
        """
        self.in_flight += 1
        try:
            link = await self._link()
            try:
                response = await link.ask(_encoded(method, path, headers, body))
            except BaseException:
                link.close()  # also when cancelled: the replica then drops the work
                raise
        finally:
            self.in_flight -= 1
        if link.is_usable:
            self._idle.append(link)
        return response

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    async def _link(self) -> _Link:
        while self._idle:
            link = self._idle.pop()
            if link.is_usable:
                return link
            link.close()
        try:
            return await _open(self.address)
        except OSError as error:
            raise NotSent(str(error)) from error


async def _open(address: str) -> _Link:
    loop = asyncio.get_running_loop()
    if address.startswith("unix:"):
        _, link = await loop.create_unix_connection(_Link, address.removeprefix("unix:"))
    else:
        parts = urlsplit(address)
        _, link = await loop.create_connection(_Link, parts.hostname or "", parts.port or 80)
    return link


def _encoded(
    method: bytes, path: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (method, path), b"host: replica"]
    lines += [name + b": " + value for name, value in headers]
    lines.append(b"content-length: " + str(len(body)).encode())
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _silent() -> DeadlineExceeded:
    return DeadlineExceeded(
        "The replica does not answer.",
        why=f"It said nothing for {ANSWER_TIMEOUT_S:g} s.",
        hint="See `hookline stream logs`; a hook may never return.",
    )


def _died() -> Unavailable:
    return Unavailable(
        "The replica went away while it was predicting.",
        why="Its process ended before it answered.",
        hint="Try again; if it happens again, see `hookline stream logs`.",
    )


def _too_large() -> InvalidOutput:
    return InvalidOutput(
        "The replica's answer is too large.",
        why=f"At most {MAX_ANSWER_BYTES} bytes are passed on.",
        hint="Return less from the postprocess hook.",
    )
