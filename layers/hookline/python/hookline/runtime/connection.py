"""HTTP/1.1 as a replica speaks it: a protocol on llhttp, one request at a time and in order.

Everything a client may do without end has an end here: heads and bodies have sizes and times, a
connection that is idle or does not read its answers is closed, and requests that are sent ahead
wait in the socket. One timer serves a connection: it is set again when it rings, not per request.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from hookline.core.errors import (
    BadRequest,
    DeadlineExceeded,
    HeadTooLarge,
    HooklineError,
    NotReady,
    RequestTimeout,
    TooLarge,
)
from hookline.runtime import answers
from hookline.runtime.answers import HANG_UP, Header
from hookline.runtime.exchange import Exchange

_HEADER_BYTES = 32  # what each header costs beside its text
_ONCE = frozenset({b"host", b"authorization", b"content-type", b"content-length"})
_ALIVE_BY_DEFAULT = "1.1"
_JOIN_BYTES = 64 * 1024  # beyond it, a copy costs more than a second write


@dataclass(frozen=True, slots=True)
class Limits:
    """How much and how long a client may send, be silent, or leave an answer unread."""

    head_bytes: int = 16 * 1024
    body_bytes: int = 64 * 1024 * 1024
    head_s: float = 10.0
    body_silence_s: float = 30.0
    request_s: float = 60.0  # from the end of the head to the answer
    idle_s: float = 75.0  # longer than any client of ours keeps an idle connection
    linger_s: float = 2.0  # for the rest of a refused body: closing at once would lose the answer
    unread_s: float = 60.0  # without a byte of the answer being taken
    connections: int = 2048


class Application(Protocol):
    """What answers the requests of a connection."""

    limits: Limits

    @property
    def is_draining(self) -> bool: ...

    def enter(self, connection: Connection) -> None:
        """Count a client; raise the HooklineError that sends it away."""
        ...

    def leave(self, connection: Connection) -> None:
        """Count it no more."""
        ...

    def admit(self, exchange: Exchange) -> None:
        """Look at the head of a request; raise the HooklineError that refuses it."""
        ...

    def answer(self, exchange: Exchange) -> None:
        """Answer a whole request, now or later, through `exchange.connection`."""
        ...

    def refuse(self, exchange: Exchange, error: HooklineError) -> None:
        """Answer with `error`."""
        ...

    def expire(self, exchange: Exchange) -> None:
        """Answer that its time is over."""
        ...

    def forget(self, exchange: Exchange) -> None:
        """Withdraw what was begun for a request: nobody waits for it any more."""
        ...


class Connection(asyncio.Protocol):
    """One client of `application`."""

    def __init__(self, application: Application) -> None:
        self._application, self._limits = application, application.limits
        self._loop = asyncio.get_running_loop()
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = self._unparsed_bytes = 0
        self._fault: HooklineError | None = None
        self._incoming: Exchange | None = None  # its body is still coming
        self._current: Exchange | None = None  # the next answer is for it
        self._waiting: deque[Exchange] = deque()
        self._has_begun = False  # a head, which is not complete
        self._is_deaf = self._is_full = self._is_held = False
        self._unread_bytes = 0
        self._due_s = self._rings_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # The transport calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._be_due(time.monotonic() + self._limits.head_s)
        try:
            self._application.enter(self)
        except HooklineError as error:
            self._give_up(error)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - gone is gone
        self._is_deaf = True
        self._application.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        if self._current is not None and not self._current.is_answered:
            self._current.is_answered = True
            self._application.forget(self._current)

    def data_received(self, data: bytes) -> None:
        """Parse; refuse what grows in the parser without becoming a head or a body."""
        if self._is_deaf:
            return
        self._unparsed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_deaf = True  # what follows is not HTTP/1.1
        except httptools.HttpParserError as error:
            self._give_up(self._fault or BadRequest("This is not HTTP/1.1.", why=f"{error}."))
        else:
            self._look_at_rest()

    def eof_received(self) -> None:
        """Close, as a client that stops sending is taken to be gone."""

    def pause_writing(self) -> None:
        self._is_full = True
        self._unread_bytes = self._transport.get_write_buffer_size()
        self._be_due(time.monotonic() + self._limits.unread_s)

    def resume_writing(self) -> None:
        self._is_full = False
        self._be_due(time.monotonic() + self._limits.idle_s)
        self._go_on()

    # The parser calls these; an exception in one of them would look like a fault of the client.

    def on_message_begin(self) -> None:
        self._has_begun = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the first of each; two that would be read two ways are a fault. Drop trailers."""
        self._head_bytes += len(name) + len(value) + _HEADER_BYTES
        if self._head_bytes > self._limits.head_bytes:
            self._fail(_head_too_large(self._limits.head_bytes))
        if self._incoming is not None:
            return
        name = name.lower()
        if name not in self._headers:
            self._headers[name] = value
        elif name in _ONCE:
            self._fail(BadRequest(f"The request has two {name.decode()} headers."))

    def on_headers_complete(self) -> None:
        headers, parser = self._headers, self._parser
        if self._head_bytes + len(self._url) > self._limits.head_bytes:
            self._fail(_head_too_large(self._limits.head_bytes))
        if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            self._fail(BadRequest("The only Transfer-Encoding that is understood is chunked."))
        keeps_alive = parser.should_keep_alive() and not parser.should_upgrade()
        if keeps_alive and b"connection" in headers:
            keeps_alive = parser.get_http_version() == _ALIVE_BY_DEFAULT
        exchange = Exchange(
            self, parser.get_method(), self._url, headers, keeps_alive, self._limits.request_s
        )
        self._url, self._headers, self._has_begun = b"", {}, False
        self._head_bytes = self._unparsed_bytes = 0
        try:
            self._application.admit(exchange)
        except HooklineError as error:
            exchange.refusal = error
        self._incoming = exchange
        if self._current is None and not self._is_full:
            self._begin(exchange)
        else:
            self._waiting.append(exchange)

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        exchange = self._incoming
        if exchange is None or exchange.refusal is not None or exchange.is_answered:
            return
        exchange.add(body)
        if exchange.size_bytes > self._limits.body_bytes:
            exchange.refusal = too_large(self._limits.body_bytes)
            exchange.drop_body()
            if exchange is self._current:
                self._application.refuse(exchange, exchange.refusal)

    def on_message_complete(self) -> None:
        exchange = cast("Exchange", self._incoming)
        self._incoming, self._head_bytes, self._unparsed_bytes = None, 0, 0
        exchange.is_whole = True
        if exchange is not self._current:
            return
        if exchange.is_answered:
            self._end()
        else:
            self._be_due(exchange.deadline_s)
            self._application.answer(exchange)

    # The application calls these.

    def send(self, exchange: Exchange, head: bytes, body: bytes) -> None:
        """Answer `exchange` with 200 and a body; nothing happens if its client is gone."""
        if exchange.is_answered:
            return
        hangs_up = self._hangs_up_after(exchange)
        if len(body) > _JOIN_BYTES:
            start = answers.ok(
                head, exchange.request_id, b"", hangs_up=hangs_up, rest_bytes=len(body)
            )
            self._transport.writelines([start, body])
        else:
            self._transport.write(answers.ok(head, exchange.request_id, body, hangs_up=hangs_up))
        self._sent(exchange, hangs_up=hangs_up)

    def respond(self, exchange: Exchange, status: int, headers: list[Header], body: bytes) -> None:
        """Answer `exchange` with any status; nothing happens if its client is gone."""
        if exchange.is_answered:
            return
        hangs_up = self._hangs_up_after(exchange)
        all_headers = [*headers, HANG_UP] if hangs_up else headers
        has_body = exchange.method != b"HEAD"
        self._transport.write(answers.plain(status, all_headers, body, has_body=has_body))
        self._sent(exchange, hangs_up=hangs_up)

    def hasten(self, exchange: Exchange) -> None:
        """The deadline of `exchange`, which is whole, has come nearer."""
        if exchange is self._current and not exchange.is_answered:
            self._be_due(exchange.deadline_s)

    # Whoever runs the server calls these.

    def drain(self) -> None:
        """Close as soon as nothing is under way."""
        if self._is_idle():
            self._transport.close()

    def stop(self) -> None:
        """Answer what is under way with an error, and close."""
        if self._current is not None and not self._current.is_answered:
            self._application.forget(self._current)
            self._current.keeps_alive = False
            self._application.refuse(self._current, NotReady("This replica had to stop."))
        self._transport.close()

    def _is_idle(self) -> bool:
        return self._current is None and not self._waiting and not self._is_in_head()

    def _is_in_head(self) -> bool:
        return self._has_begun or self._unparsed_bytes > 0

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        if exchange.refusal is not None:
            self._application.refuse(exchange, exchange.refusal)
        elif exchange.is_whole:
            self._be_due(exchange.deadline_s)
            self._application.answer(exchange)
        else:
            self._be_due(self._body_due_s(exchange))
            if not exchange.size_bytes and exchange.expects_continue:
                self._transport.write(answers.CONTINUE)

    def _hangs_up_after(self, exchange: Exchange) -> bool:
        is_last = self._application.is_draining and not self._waiting
        return is_last or not exchange.keeps_alive

    def _sent(self, exchange: Exchange, *, hangs_up: bool) -> None:
        exchange.is_answered = True
        exchange.keeps_alive = not hangs_up
        if exchange.is_whole:
            self._end()
        elif hangs_up:
            self._linger()
        else:
            self._be_due(time.monotonic() + self._limits.linger_s)

    def _end(self) -> None:
        """The current request is answered and has come whole: on to the next one."""
        exchange, self._current = cast("Exchange", self._current), None
        if not exchange.keeps_alive:
            self._is_deaf = True
            self._transport.close()
            return
        if not self._is_full:
            self._be_due(time.monotonic() + self._limits.idle_s)
        if self._waiting:
            self._loop.call_soon(self._go_on)
        elif self._is_held:
            self._hold(held=False)

    def _go_on(self) -> None:
        if self._current is None and not self._is_full and self._waiting:
            self._begin(self._waiting.popleft())
        if self._is_held and not self._waiting:
            self._hold(held=False)

    def _hold(self, *, held: bool) -> None:
        """Leave what the client sends in the socket, so that it cannot pile up here."""
        if self._transport.is_closing():
            return
        self._is_held = held
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _look_at_rest(self) -> None:
        """What is in hand after a piece of data decides what is due next."""
        if self._unparsed_bytes > self._limits.head_bytes:
            self._give_up(_head_too_large(self._limits.head_bytes))
            return
        if self._waiting and self._waiting[0].is_whole and not self._is_held:
            self._hold(held=True)
        if self._incoming is not None:
            if self._incoming is self._current and not self._current.is_answered:
                self._be_due(self._body_due_s(self._current))
        elif self._current is None and self._is_in_head() and not self._is_full:
            self._be_due(min(self._due_s, time.monotonic() + self._limits.head_s))

    def _body_due_s(self, exchange: Exchange) -> float:
        return min(exchange.deadline_s, time.monotonic() + self._limits.body_silence_s)

    def _fail(self, error: HooklineError) -> None:
        """Stop the parser with `error` for an answer."""
        self._fault = error
        raise ValueError(error.what)

    def _give_up(self, error: HooklineError) -> None:
        """Answer what came before, then `error`, and hang up: what follows cannot be read."""
        self._is_deaf = True
        broken, self._incoming = self._incoming, None
        if broken is None:
            broken = Exchange(self, b"", b"", {}, keeps_alive=False, timeout_s=0.0)
            self._waiting.append(broken)
        elif broken.is_answered:
            self._linger()
            return
        broken.keeps_alive, broken.refusal = False, error
        if broken is self._current:
            self._application.refuse(broken, error)
        elif self._current is None:
            self._begin(self._waiting.popleft())

    def _linger(self) -> None:
        """Let the client read the answer before its unread bytes reset the connection."""
        self._is_deaf = True
        self._be_due(time.monotonic() + self._limits.linger_s)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    # Time.

    def _be_due(self, at_s: float) -> None:
        """Look at this connection at `at_s`, unless something else is due before."""
        self._due_s = at_s
        if self._timer is None or at_s < self._rings_s:
            if self._timer is not None:
                self._timer.cancel()
            self._rings_s = at_s
            self._timer = self._loop.call_later(max(0.0, at_s - time.monotonic()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        if time.monotonic() < self._due_s:
            self._be_due(self._due_s)
        else:
            self._expire()

    def _expire(self) -> None:
        exchange = self._current
        if self._is_full:
            self._expire_unread()
        elif self._is_deaf or (exchange is None and not self._is_in_head()):
            self._transport.abort() if self._is_deaf else self._transport.close()
        elif exchange is None:
            self._give_up(RequestTimeout("The head of the request did not come in time."))
        elif exchange.is_answered:
            self._transport.close()
        elif exchange.is_whole:
            self._application.expire(exchange)
        else:
            self._expire_body(exchange)

    def _expire_unread(self) -> None:
        left_bytes = self._transport.get_write_buffer_size()
        if left_bytes >= self._unread_bytes:
            self._transport.abort()
            return
        self._unread_bytes = left_bytes
        self._be_due(time.monotonic() + self._limits.unread_s)

    def _expire_body(self, exchange: Exchange) -> None:
        exchange.keeps_alive = False
        error: HooklineError = DeadlineExceeded("The request body did not arrive in time.")
        if time.monotonic() < exchange.deadline_s:
            error = RequestTimeout(
                "The request body stopped arriving.",
                why=f"Nothing came for {self._limits.body_silence_s:g} s.",
                hint="Send it again.",
            )
        self._application.refuse(exchange, error)


def too_large(limit_bytes: int) -> TooLarge:
    """What is said of a body over the limit."""
    return TooLarge(
        "The request body is too large.",
        why=f"This server takes at most {limit_bytes} bytes.",
        hint="Send a smaller file.",
    )


def _head_too_large(limit_bytes: int) -> HeadTooLarge:
    return HeadTooLarge(
        "The request line and headers are too large.",
        why=f"This server takes at most {limit_bytes} bytes of them.",
    )
