"""A small HTTP/1.1 client for one replica: kept connections over a unix or TCP socket.

Parsing is llhttp's, through httptools. A request is sent once; whether it was sent is known, so the
caller can try elsewhere exactly when nothing was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

from hookline.core.errors import DeadlineExceeded, InvalidOutput, Unavailable

READ_BYTES = 256 * 1024
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


class _Parsed:
    """httptools' callbacks: collects one response."""

    def __init__(self) -> None:
        self.response = Response()
        self.is_done = self.is_overfull = self.keeps_alive = False
        self.parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._size_bytes = 0

    def feed(self, data: bytes) -> None:
        """Parse what has come. Raise InvalidOutput once it is too much."""
        self._size_bytes += len(data)
        if self._size_bytes > MAX_ANSWER_BYTES:
            raise InvalidOutput(
                "The replica's answer is too large.",
                why=f"At most {MAX_ANSWER_BYTES} bytes are passed on.",
                hint="Return less from the postprocess hook.",
            )
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_done:
            self.response.headers.append((name.lower(), value))

    def on_message_begin(self) -> None:
        if self.is_done:  # a second answer, which nobody has asked for
            self.is_overfull = True

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self.is_done:
            return
        # llhttp forgets both when the message has ended, so they are asked for here.
        self.response.status = self.parser.get_status_code()
        self.keeps_alive = self.parser.should_keep_alive()
        self.response.body = b"".join(self._pieces)
        self.is_done = True


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    idle_since: float = 0.0

    def close(self) -> None:
        self.writer.close()

    def abort(self) -> None:
        """Close without waiting for the other side to take what is left to send."""
        self.writer.transport.abort()

    @property
    def is_usable(self) -> bool:
        is_fresh = time.monotonic() - self.idle_since < MAX_IDLE_S
        return is_fresh and not (self.reader.at_eof() or self.writer.is_closing())


class Upstream:
    """One replica. `in_flight` counts the requests it is answering."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.in_flight = 0
        self._idle: list[_Connection] = []

    async def ask(
        self, method: bytes, path: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> Response:
        """Raise NotSent if the replica was not reached, Unavailable if it died on the way.

        User code runs in that process, so it may do anything: raise DeadlineExceeded if it falls
        silent, InvalidOutput if its answer is endless or not HTTP's.
        """
        self.in_flight += 1
        try:
            connection = await self._connection()
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    return await self._exchange(connection, _encoded(method, path, headers, body))
            except BaseException:
                connection.abort()  # also when cancelled: the replica then drops the work
                raise
        except TimeoutError:
            raise _silent() from None
        finally:
            self.in_flight -= 1

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.close()
        try:
            return _Connection(*await _open(self.address))
        except OSError as error:
            raise NotSent(str(error)) from error

    async def _exchange(self, connection: _Connection, request: bytes) -> Response:
        parsed = _Parsed()
        try:
            connection.writer.write(request)
            await connection.writer.drain()
            while not parsed.is_done:
                data = await connection.reader.read(READ_BYTES)
                if not data:
                    raise _died()
                parsed.feed(data)
        except (OSError, httptools.HttpParserError) as error:
            raise _died() from error
        if parsed.response.status not in _STATUSES:
            raise InvalidOutput(f"The replica answered with the status {parsed.response.status}.")
        if parsed.keeps_alive and not parsed.is_overfull:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()
        return parsed.response


async def _open(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    parts = urlsplit(address)
    return await asyncio.open_connection(parts.hostname, parts.port)


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
