"""The HTTP face of a replica: POST /predict first, then everything of `hookline.runtime.paths`."""

from __future__ import annotations

import asyncio
import logging
import re
from functools import partial
from typing import TYPE_CHECKING

from hookline.core import exposition, timing
from hookline.core.errors import (
    BadRequest,
    HooklineError,
    InvalidOutput,
    MethodNotAllowed,
    NotReady,
    Overloaded,
    Unauthenticated,
)
from hookline.runtime import answers, logs, paths
from hookline.runtime.answers import Header
from hookline.runtime.batcher import DEFAULT_URGENCY, Batcher, Ticket, late
from hookline.runtime.connection import Connection, Limits, too_large
from hookline.runtime.exchange import Exchange
from hookline.runtime.items import Answer, Item, Outcome
from hookline.runtime.meters import GONE, Meters
from hookline.runtime.spec import ServerSpec
from hookline.runtime.tokens import Tokens

if TYPE_CHECKING:
    from hookline.runtime.other_protocols import Protocols

log = logging.getLogger(__name__)

_PREDICT = b"/predict"  # as it is sent nearly always
_OCTETS = "application/octet-stream"
_JSON_TYPE = (b"content-type", b"application/json")
_METRICS_TYPE = (b"content-type", exposition.CONTENT_TYPE.encode())
_CONSTANT = {
    "live": b'{"live":true}',
    "ready": b'{"ready":true,"live":true}',
    # What batch transform asks: at most 100 MB under way, and a record is a request.
    "execution_parameters": (
        b'{"MaxConcurrentTransforms":16,"BatchStrategy":"SINGLE_RECORD","MaxPayloadInMB":6}'
    ),
}

_SERVER_ERROR = 500
_MILLISECONDS = re.compile(rb"0*[1-9][0-9]{0,9}", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x20-\x7e]+")
_MAX_TYPES = 64  # different MIME types of answers whose head line is kept


class _Refusal(HooklineError):
    """An error whose answer needs a header of its own."""

    def __init__(self, error: HooklineError, header: Header) -> None:
        super().__init__(error.what)
        self.error, self.header = error, header


class Application:
    """Answers NotReady until `open` gives it a batcher; while draining it serves and hangs up."""

    def __init__(
        self, spec: ServerSpec, limits: Limits | None = None, meters: Meters | None = None
    ) -> None:
        self._spec, self._meters = spec, meters or Meters.alone()
        self.limits = limits or Limits(
            body_bytes=spec.max_body_bytes, request_s=spec.request_timeout_s
        )
        self._tells_all = log.isEnabledFor(logging.DEBUG)
        self.connections: set[Connection] = set()
        self._is_empty = asyncio.Event()
        self.is_draining = False
        self._tokens = Tokens(spec.token_sha256)
        self._batcher: Batcher | None = None
        self._protocols: Protocols | None = None
        self._type_lines: dict[str, bytes] = {}

    def open(self, batcher: Batcher, protocols: Protocols | None = None) -> None:
        """Be ready: predict through `batcher`, and answer in `protocols` too."""
        self._batcher, self._protocols = batcher, protocols
        batcher.count_in(self._meters)

    def drain(self) -> None:
        """Look unready and close every connection after its answer, but answer."""
        self.is_draining = True

    def enter(self, connection: Connection) -> None:
        """Count a client."""
        if len(self.connections) >= self.limits.connections:
            raise Overloaded(
                "This replica has too many connections.", why=f"{len(self.connections)} are open."
            )
        self.connections.add(connection)

    def leave(self, connection: Connection) -> None:
        """Count it no more."""
        self.connections.discard(connection)
        if not self.connections:
            self._is_empty.set()

    async def left_by_all(self) -> None:
        """Return when no client is connected."""
        while self.connections:
            self._is_empty.clear()
            await self._is_empty.wait()

    @property
    def status(self) -> str:
        """What /ping is about: loading, ready or draining."""
        if self.is_draining:
            return "draining"
        return "loading" if self._batcher is None else "ready"

    def admit(self, exchange: Exchange) -> None:
        """Refuse what its head alone shows to be wrong, before its body is read."""
        if exchange.method == b"POST" and exchange.url == _PREDICT:
            self._admit_prediction(exchange, exchange.headers.get(b"authorization", b""))
            return
        found = exchange.found = paths.found(exchange.url)
        operation = found.operation
        if exchange.method not in operation.methods:
            method = exchange.method.decode()
            raise _Refusal(
                MethodNotAllowed(f"{found.path} does not take {method}."), _allow(operation.methods)
            )
        if not operation.is_open and exchange.method != b"OPTIONS":
            given = exchange.headers.get(b"authorization", b"")
            token = b"Bearer %b" % found.token.encode() if found.token else given
            if operation.name == "metrics":
                self._check_token(token)
            else:
                self._admit_prediction(exchange, token)

    def answer(self, exchange: Exchange) -> None:
        """Answer a whole request; a prediction is answered once its batch has run."""
        try:
            self._answer(exchange)
        except HooklineError as error:
            self.refuse(exchange, error)
        except Exception:
            with logs.about(exchange.request_id.decode()):
                log.exception("request_broken")
            self._tell_problem(exchange, HooklineError("internal error"), [])

    def refuse(self, exchange: Exchange, error: HooklineError) -> None:
        """Answer with the problem, and log what is not the caller's fault."""
        headers: list[Header] = []
        if isinstance(error, _Refusal):
            headers, error = [error.header], error.error
        if error.status >= _SERVER_ERROR:
            extra = {"code": error.code, "what": error.what, "trace": error.trace}
            with logs.about(exchange.request_id.decode()):
                log.warning("request_failed", extra=extra)
        self._tell_problem(exchange, error, headers)

    def expire(self, exchange: Exchange) -> None:
        """Answer that its time is over, and withdraw it."""
        self.forget(exchange)
        self.refuse(exchange, late(exchange.timeout_s))

    def forget(self, exchange: Exchange) -> None:
        """Withdraw the prediction of a caller who does not wait for it any more."""
        if exchange.is_answered:  # by nobody: the client has left
            self._meters.answered(GONE)
        ticket = exchange.ticket
        if isinstance(ticket, Ticket):
            if self._batcher is not None:
                self._batcher.withdraw(ticket)
        elif ticket is not None:
            ticket.withdraw()

    def _check_token(self, authorization: bytes) -> None:
        if not self._tokens.admit(authorization):
            error = Unauthenticated(
                "The token is missing or wrong.", hint="Send `Authorization: Bearer TOKEN`."
            )
            raise _Refusal(error, (b"www-authenticate", b"Bearer"))

    def _admit_prediction(self, exchange: Exchange, authorization: bytes) -> None:
        headers = exchange.headers
        self._check_token(authorization)
        if self._batcher is None:
            raise NotReady("This replica is loading its model.", hint="Retry after a moment.")
        given = headers.get(b"x-request-timeout-ms")
        if given:
            exchange.allow(min(_seconds(given), self._spec.request_timeout_s))
        length = headers.get(b"content-length")
        if length is not None and int(length) > self.limits.body_bytes:
            raise too_large(self.limits.body_bytes)

    def _answer(self, exchange: Exchange) -> None:
        found = exchange.found
        if found is None:
            self._predict(exchange)
            return
        name = found.operation.name
        if exchange.method == b"OPTIONS":
            self._reply(exchange, [_allow(found.operation.methods)], b"")
        elif name in ("predict", "invoke"):
            self._predict(exchange, _accept(exchange) if name == "invoke" else "")
        elif name in ("about", "ping"):
            self._tell_status(exchange, must_be_ready=name != "about")
        elif name == "metrics":
            self._reply(exchange, [_METRICS_TYPE], self._meters.text(self._spec.labels).encode())
        elif name in _CONSTANT:
            if name == "ready" and self.status != "ready":
                raise self._not_ready()
            self._reply(exchange, [_JSON_TYPE], _CONSTANT[name])
        elif self._protocols is None:
            raise NotReady("This replica is loading its model.", hint="Retry after a moment.")
        else:
            reply, fail = partial(self._reply, exchange), partial(self.refuse, exchange)
            self._protocols.answer(exchange, reply, fail)

    def _tell_status(self, exchange: Exchange, *, must_be_ready: bool) -> None:
        if must_be_ready and self.status != "ready":
            raise self._not_ready()
        info = f'{{"name":"hookline","status":"{self.status}"}}'
        self._reply(exchange, [_JSON_TYPE], info.encode())

    def _not_ready(self) -> NotReady:
        return NotReady(f"This replica is {self.status}.", hint="Ask again in a moment.")

    def _reply(self, exchange: Exchange, headers: list[Header], body: bytes) -> None:
        if exchange.method == b"POST":
            self._meters.answered(200)
            if self._tells_all:
                self._tell_log(exchange, 200)
        own = [*headers, (b"x-request-id", exchange.request_id), *_timing(exchange)]
        exchange.connection.respond(exchange, 200, own, body)

    def _predict(self, exchange: Exchange, accept: str = "") -> None:
        if self._batcher is None:
            raise NotReady("This replica is loading its model.", hint="Retry after a moment.")
        headers = exchange.headers
        mime_type = headers.get(b"content-type")
        item = Item(
            exchange.body,
            mime_type.decode("latin-1") if mime_type else _OCTETS,
            "",
            exchange.request_id.decode(),
            accept,
        )
        exchange.ticket = self._batcher.submit(
            item,
            tell=partial(self._predicted, exchange),
            deadline_s=exchange.deadline_s,
            urgency=exchange.urgency if b"priority" in headers else DEFAULT_URGENCY,
            is_alone=len(self.connections) == 1 and not self._is_told(headers),
        )

    def _is_told(self, headers: dict[bytes, bytes]) -> bool:
        """Whether the answer tells of its ticket, which must be known by then."""
        return self._tells_all or timing.ASK[0] in headers

    def _predicted(self, exchange: Exchange, outcome: Outcome) -> None:
        if isinstance(outcome, HooklineError):
            self.refuse(exchange, outcome)
            return
        line = self._type_lines.get(outcome.mime_type)
        if line is None:
            try:
                line = self._type_line(outcome)
            except InvalidOutput as error:
                self.refuse(exchange, error)
                return
        if timing.ASK[0] in exchange.headers:
            line += b"".join(b"%b: %b\r\n" % header for header in _timing(exchange))
        self._meters.answered(200)
        if self._tells_all:
            self._tell_log(exchange, 200)
        exchange.connection.send(exchange, line, outcome.body)

    def _type_line(self, answer: Answer) -> bytes:
        if not _HEADER_VALUE.fullmatch(answer.mime_type):
            raise InvalidOutput(
                f"The answer's MIME type is {answer.mime_type!r}.",
                hint="Return printable ASCII, such as application/json.",
            )
        line = f"content-type: {answer.mime_type}\r\n".encode()
        if len(self._type_lines) < _MAX_TYPES:
            self._type_lines[answer.mime_type] = line
        return line

    def _tell_problem(self, exchange: Exchange, error: HooklineError, more: list[Header]) -> None:
        self._meters.answered(error.status)
        if self._tells_all:
            self._tell_log(exchange, error.status)
        is_plain = exchange.found is not None and exchange.found.operation.tells_plainly
        headers, body = answers.problem_of(error, exchange.request_id, is_plain=is_plain)
        all_headers = [*headers, *more, *_timing(exchange)]
        exchange.connection.respond(exchange, error.status, all_headers, body)

    def _tell_log(self, exchange: Exchange, status: int) -> None:
        """At the level DEBUG: every answer."""
        with logs.about(exchange.request_id.decode()):
            log.debug("request_done", extra={"status": status, **_spent(exchange)})


def _timing(exchange: Exchange) -> list[Header]:
    """The header for a caller who wants to know where the time went, once it is known."""
    ticket = exchange.ticket
    if (
        ticket is None
        or ticket.laps is None
        or exchange.headers.get(timing.ASK[0]) != timing.ASK[1]
    ):
        return []
    return [(timing.NAME, ticket.laps.timing(ticket.arrived_s).value())]


def _spent(exchange: Exchange) -> dict[str, float]:
    ticket = exchange.ticket
    if ticket is None or ticket.laps is None:
        return {}
    spent = ticket.laps.timing(ticket.arrived_s)
    return {
        "queue_ms": round(spent.queue_ms, 3),
        "preprocess_ms": round(spent.preprocess_ms, 3),
        "predict_ms": round(spent.predict_ms, 3),
        "postprocess_ms": round(spent.postprocess_ms, 3),
        "batch_items": spent.batch_items,
    }


def _accept(exchange: Exchange) -> str:
    """What the client would like to get; empty where it takes anything."""
    given = exchange.headers.get(b"accept", b"*/*").decode("latin-1")
    return "" if given == "*/*" else given


def _allow(methods: tuple[bytes, ...]) -> Header:
    return b"allow", b", ".join(methods)


def _seconds(milliseconds: bytes) -> float:
    if not _MILLISECONDS.fullmatch(milliseconds):
        raise BadRequest("X-Request-Timeout-Ms must be a whole number of milliseconds above 0.")
    return int(milliseconds) / 1000
