"""The little of ASGI that hookline's servers need: read a body, answer, answer with a problem."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, MutableMapping
from typing import Any, TypeVar, cast

from hookline.core.errors import (
    DeadlineExceeded,
    HooklineError,
    TooLarge,
    plain_error,
    problem,
)
from hookline.runtime import logs
from hookline.runtime.exchange import new_id

log = logging.getLogger(__name__)

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

RETRY_AFTER_S = b"1"
# What a server of ours may put into a scope.
CALLER = "hookline.caller"  # a Caller
IS_WHOLE = "hookline.is_whole"  # true once the whole body has come
BODY_IDLE_S = 30.0  # the longest silence within a body
_SAFE_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


class ClientGone(Exception):
    """The caller closed the connection; nobody waits for an answer."""


def header(scope: Scope, name: bytes) -> str:
    """The first header of that (lower case) name, or an empty string."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def request_id(scope: Scope) -> str:
    """The caller's X-Request-Id if it is harmless to log, else a new one."""
    given = header(scope, b"x-request-id")
    return given if _SAFE_ID.fullmatch(given) else new_id().decode()


def bearer(scope: Scope) -> str:
    """The secret in `Authorization: Bearer …`, or an empty string."""
    kind, _, secret = header(scope, b"authorization").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


async def body_chunks(scope: Scope, receive: Receive, limit_bytes: int) -> AsyncIterator[bytes]:
    """The body as it arrives.

    Raise TooLarge past the limit, ClientGone on a disconnect, DeadlineExceeded when it stops
    arriving.
    """
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    size_bytes, has_more = 0, True
    while has_more:
        message = await (receive() if scope.get(IS_WHOLE) else _in_time(receive))
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size_bytes += len(chunk)
        if size_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        has_more = message.get("more_body", False)
        yield chunk


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """The whole body; raises as `body_chunks` does."""
    return b"".join([chunk async for chunk in body_chunks(scope, receive, limit_bytes)])


async def _in_time(receive: Receive) -> Message:
    try:
        async with asyncio.timeout(BODY_IDLE_S):
            return await receive()
    except TimeoutError:
        raise DeadlineExceeded(
            "The request body stopped arriving.",
            why=f"Nothing came for {BODY_IDLE_S:g} s.",
            hint="Send it again.",
        ) from None


class Caller:
    """Who waits for the answers of a connection; `leave` is called when it closes it.

    A server puts one into the scope, under CALLER, so that a request need not wait for messages.
    """

    __slots__ = ("_is_gone", "leave")

    def __init__(self) -> None:
        self._is_gone = False
        self.leave: Callable[[], object] | None = None

    def has_gone(self) -> bool:
        """Whether the connection is closed."""
        return self._is_gone

    def go(self) -> None:
        """The connection is closed."""
        self._is_gone = True
        if self.leave is not None:
            self.leave()


async def until_gone(receive: Receive) -> None:
    """Return when the caller closes the connection. Call it once the body has been read."""
    while (await receive())["type"] != "http.disconnect":
        continue


async def unless_gone(work: Coroutine[Any, Any, T], scope: Scope, receive: Receive) -> T:
    """What comes of `work`; ClientGone, and it is cancelled, if the caller leaves before.

    Call it once the body has been read.
    """
    caller: Caller | None = scope.get(CALLER)
    if caller is None:
        return await _unless_told(work, receive)
    if caller.has_gone():
        work.close()
        raise ClientGone
    task = cast("asyncio.Task[Any]", asyncio.current_task())
    caller.leave = task.cancel
    try:
        return await work
    except asyncio.CancelledError:
        if caller.has_gone() and not task.uncancel():
            raise ClientGone from None
        raise
    finally:
        caller.leave = None


async def _unless_told(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """As `unless_gone`, of a server that tells it by a message alone."""
    caller = Caller()

    async def watch() -> None:
        await until_gone(receive)
        caller.go()

    watching = asyncio.ensure_future(watch())
    try:
        return await unless_gone(work, {CALLER: caller}, receive)
    finally:
        watching.cancel()


async def at_the_edge(answer: Awaitable[None], send: Send, request: str) -> None:
    """Await `answer`; what it raises becomes a problem, or a line where nobody waits for one."""
    with logs.about(request):
        try:
            await answer
        except ClientGone:
            log.info("client_gone")
        except HooklineError as error:
            await respond_problem(send, error, request)
        except Exception:  # the edge around a request
            log.exception("request_failed")
            unknown = HooklineError("Internal error.", hint="Ask for help with the request_id.")
            await respond_problem(send, unknown, request)


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(
        "The request body is too large.",
        why=f"This server takes at most {limit_bytes} bytes.",
        hint="Send a smaller file.",
    )


async def respond(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """Answer in one piece; Content-Length is added."""
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status, "headers": [*headers, length]}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def respond_json(send: Send, status: int, value: object, *, headers: Headers = ()) -> None:
    """Answer with a JSON document."""
    body = json.dumps(value).encode()
    await respond(send, status, [(b"content-type", b"application/json"), *headers], body)


async def respond_problem(
    send: Send,
    error: HooklineError,
    request: str,
    *,
    headers: Headers = (),
    is_plain: bool = False,
) -> None:
    """Answer with RFC 9457 problem details; what may be retried says when.

    `is_plain`: as other protocols tell errors.
    """
    retry = [(b"retry-after", RETRY_AFTER_S)] if error.retryable else []
    kind = b"application/json" if is_plain else b"application/problem+json"
    members = [(b"content-type", kind), (b"x-request-id", request.encode())]
    told = plain_error if is_plain else problem
    body = json.dumps(told(error, request_id=request)).encode()
    await respond(send, error.status, [*members, *retry, *headers], body)
