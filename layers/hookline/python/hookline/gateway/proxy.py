"""Admits predict calls, picks the replica with the fewest requests in flight, and answers."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from hookline.core.errors import (
    HooklineError,
    MethodNotAllowed,
    NotReady,
    Overloaded,
    Unauthenticated,
)
from hookline.core.topology import GATEWAY_ROUTES
from hookline.gateway.budget import Budget
from hookline.gateway.routing import Destination, RoutingTable
from hookline.gateway.upstream import NotSent, Response, Upstream
from hookline.runtime.asgi import (
    ClientGone,
    Receive,
    Scope,
    Send,
    bearer,
    respond,
    respond_problem,
    until_gone,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_HELD_BYTES = 512 * 1024 * 1024
MAX_IN_FLIGHT_PER_REPLICA = 512
_PARTS = {"{stream_id}": r"(?P<stream_id>[0-9]{1,10})", "{token}": "(?P<token>[^/]+)"}
_PATHS = [
    re.compile("/".join(_PARTS.get(part, part) for part in route.path.split("/")))
    for route in GATEWAY_ROUTES
]
_FORWARDED = frozenset({b"content-type", b"accept", b"x-request-timeout-ms"})
_RETURNED = frozenset({b"content-type", b"retry-after"})


@dataclass(frozen=True, slots=True)
class PredictCall:
    """What the path of a predict call says."""

    token: str = ""
    stream_id: int | None = None

    @classmethod
    def of(cls, path: str) -> PredictCall | None:
        """None for a path that is not one of GATEWAY_ROUTES."""
        for pattern in _PATHS:
            if found := pattern.fullmatch(path):
                said = found.groupdict()
                stream_id = said.get("stream_id")
                return cls(said.get("token", ""), int(stream_id) if stream_id else None)
        return None


class Gateway:
    """The data plane's entrance: one per process, shared by all its connections."""

    def __init__(self, table: RoutingTable, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._table, self._budget = table, Budget(max_held_bytes)
        self._upstreams: dict[str, Upstream] = {}

    async def answer(self, scope: Scope, receive: Receive, send: Send, request: str) -> bool:
        """Answer a request to one of GATEWAY_ROUTES; False for others, which are left alone."""
        path, method = scope["path"], scope["method"]
        call = PredictCall.of(path)
        if call is None:
            return False
        if method != "POST":
            error = MethodNotAllowed(
                f"{path} does not take {method[:16]}.", hint="Post the bytes to predict."
            )
            await respond_problem(send, error, request, headers=[(b"allow", b"POST")])
            return True
        await self.predict(
            scope, receive, send, request=request, token=call.token, stream_id=call.stream_id
        )
        return True

    async def predict(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        request: str,
        token: str = "",
        stream_id: int | None = None,
    ) -> None:
        """Answer one predict call. The token is in the header unless the path carried it."""
        try:
            destination = await self._admit(token or bearer(scope), stream_id)
            with self._budget.hold() as held:
                body = await held.body(scope, receive, MAX_BODY_BYTES)
                headers = _forwarded(scope, request)
                call = self._send(token or bearer(scope), destination, headers, body)
                response = await _unless_gone(call, receive)
        except ClientGone:
            log.info("client_gone")
            return
        except HooklineError as error:
            await respond_problem(send, error, request)
            return
        returned = [pair for pair in response.headers if pair[0] in _RETURNED]
        named = [*returned, (b"x-request-id", request.encode())]
        await respond(send, response.status, named, response.body)

    def close(self) -> None:
        """Close every idle connection to a replica."""
        for upstream in self._upstreams.values():
            upstream.close()

    async def _admit(self, token: str, stream_id: int | None) -> Destination:
        if not token:
            raise Unauthenticated(
                "The request carries no presigned token.",
                hint="Send it as `Authorization: Bearer TOKEN`.",
            )
        destination = await self._resolve(token)
        if stream_id is not None and destination.stream_id != stream_id:
            raise Unauthenticated(
                f"The presigned token is not one of stream {stream_id}.",
                hint="Use the token that `hookline model deploy` printed for this stream.",
            )
        return destination

    async def _resolve(self, token: str) -> Destination:
        answer = self._table.kept(token)
        if answer is None:
            answer = await asyncio.to_thread(self._table.resolve, token)
        if isinstance(answer, HooklineError):
            raise answer
        return answer

    async def _send(
        self,
        token: str,
        destination: Destination,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
    ) -> Response:
        for upstream in self._by_load(destination.addresses):
            try:
                return await upstream.post(b"/predict", headers, body)
            except NotSent:  # dead, or not yet replaced in the table: the next one may take it
                self._upstreams.pop(upstream.address, None)
                self._table.forget(token)
        raise NotReady(
            f"No replica of stream {destination.stream_id} can be reached.",
            why="They are starting, or were just replaced.",
            hint="Try again shortly.",
        )

    def _by_load(self, addresses: Sequence[str]) -> list[Upstream]:
        upstreams = [
            self._upstreams.setdefault(address, Upstream(address)) for address in addresses
        ]
        upstreams.sort(key=lambda upstream: upstream.in_flight)
        if upstreams[0].in_flight >= MAX_IN_FLIGHT_PER_REPLICA:
            raise Overloaded(
                "Every replica of this stream is busy.",
                why=f"Each has {MAX_IN_FLIGHT_PER_REPLICA} requests in flight.",
                hint="Try again shortly, or deploy with more replicas.",
            )
        return upstreams


def _forwarded(scope: Scope, request: str) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in scope["headers"] if name in _FORWARDED]
    return [*kept, (b"x-request-id", request.encode())]


async def _unless_gone(call: Coroutine[Any, Any, T], receive: Receive) -> T:
    """The call's result, or ClientGone (and the call cancelled) if the caller leaves first."""
    work = asyncio.ensure_future(call)
    gone = asyncio.ensure_future(until_gone(receive))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientGone
        return work.result()
    finally:
        for task in (work, gone):
            task.cancel()
            with suppress(asyncio.CancelledError, HooklineError, NotSent):
                await task
