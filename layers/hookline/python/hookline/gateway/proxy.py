"""Admits predict calls, picks the replica with the fewest requests in flight, and answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from hookline.core import timing
from hookline.core.errors import (
    DeadlineExceeded,
    HooklineError,
    MethodNotAllowed,
    NotReady,
    Overloaded,
    TooManyRequests,
    Unauthenticated,
)
from hookline.core.exposition import CONTENT_TYPE
from hookline.core.timing import Timing
from hookline.gateway import metrics
from hookline.gateway.budget import Budget
from hookline.gateway.calls import Call
from hookline.gateway.deferring import Deferring, Preference, check_empty, preferred_wait_s
from hookline.gateway.kept import Kept
from hookline.gateway.load import Lane, Meter
from hookline.gateway.lookup import Lookup
from hookline.gateway.patience import HEADER, Patience
from hookline.gateway.pool import Pool
from hookline.gateway.reporter import Reporter
from hookline.gateway.routing import Destination, RoutingTable
from hookline.gateway.traffic import GONE, Traffic
from hookline.gateway.upstream import NotSent, Response, Upstream
from hookline.runtime.asgi import (
    ClientGone,
    Receive,
    Scope,
    Send,
    bearer,
    header,
    respond,
    respond_problem,
    unless_gone,
)

log = logging.getLogger(__name__)
T = TypeVar("T")
Headers = list[tuple[bytes, bytes]]

MAX_BODY_BYTES = 64 * 1024 * 1024
_TENSORS_BEHIND = b"inference-header-content-length"
_FORWARDED = frozenset(
    {
        b"accept",
        b"content-encoding",
        b"content-type",
        b"priority",
        _TENSORS_BEHIND,
    }
)
_RETURNED = frozenset(
    {
        b"allow",
        b"content-type",
        b"location",
        b"preference-applied",
        b"retry-after",
        b"x-answer-content-type",
        _TENSORS_BEHIND,
    }
)
_SERVER_FAULT = 500
_LOOK_S = 0.1  # between looks for the replica that a held request waits for


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the gateway takes at once. A request that wakes a stream is held for `hold_s`."""

    held_bytes: int = 512 * 1024 * 1024
    in_flight_per_replica: int = 512
    in_flight_per_tenant: int = 4096
    waiting_per_stream: int = 64
    hold_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a replica is sent, and how long the caller waits for it."""

    method: bytes
    path: bytes
    headers: Headers
    body: bytes
    patience: Patience


class _HeldTooLong(DeadlineExceeded):
    """The caller's time was over before there was a replica."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that was let in."""

    call: Call
    token: str
    destination: Destination
    headers: Headers
    patience: Patience
    scope: Scope
    receive: Receive


class Gateway:
    """The data plane's entrance: one per process, shared by all its connections."""

    def __init__(
        self,
        table: RoutingTable,
        reporter: Reporter | None = None,
        limits: Limits | None = None,
        kept: Kept | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._lookup, self._budget = Lookup(table), Budget(self._limits.held_bytes)
        self._pool = Pool()
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._tenants: dict[str, int] = {}
        self._refused: Counter[int] = Counter()
        self._reporter, self._deferring = reporter or Reporter(), Deferring(kept)

    async def run(self) -> None:
        """Tell the loads of the streams, and drop what is kept too long, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reporter.run(self._lanes, self._tidy))
            tasks.create_task(self._deferring.run())

    async def answer(self, scope: Scope, receive: Receive, send: Send, request: str) -> bool:
        """Answer a request to one of GATEWAY_ROUTES; False for others, which are left alone."""
        method = scope["method"]
        if scope["path"] == "/metrics" and method == "GET":
            await self._tell_metrics(scope, send, request)
            return True
        call = Call.of(scope["path"], scope["raw_path"])
        if call is None:
            return False
        if method not in call.methods:
            error = MethodNotAllowed(
                f"{scope['path']} does not take {method[:16]}.", hint="Post the bytes to predict."
            )
            allowed = (b"allow", ", ".join(call.methods).encode())
            await respond_problem(send, error, request, headers=[allowed], is_plain=call.is_plain)
            return True
        await self._pass_on(call, scope, receive, send, request)
        return True

    async def _pass_on(
        self, call: Call, scope: Scope, receive: Receive, send: Send, request: str
    ) -> None:
        """Answer one call. The token is in the header unless the path carried it."""
        token = call.token or bearer(scope)
        began_s, traffic = time.monotonic(), None
        patience = Patience(header(scope, HEADER).encode("latin-1"))
        try:
            destination = await self._admit(token, call.stream_id)
            traffic = self._lane(destination).traffic
            with ExitStack() as held:
                forwarded = _forwarded(scope, request)
                arrival = Arrival(call, token, destination, forwarded, patience, scope, receive)
                response = await self._respond(arrival, held)
        except ClientGone:
            self._note(traffic, GONE, began_s)
            log.info("client_gone")
            return
        except HooklineError as error:
            self._note(traffic, error.status, began_s)
            if error.status >= _SERVER_FAULT:
                extra = {"code": error.code, "what": error.what, "why": error.why}
                log.warning("request_failed", extra=extra)
            await respond_problem(send, error, request, is_plain=call.is_plain)
            return
        spent = _spent(response, 1000 * (time.monotonic() - began_s))
        self._note(traffic, response.status, began_s, spent)
        returned = [pair for pair in response.headers if pair[0] in _RETURNED]
        named = [*returned, (b"x-request-id", request.encode())]
        if spent and timing.ASK in scope["headers"]:
            named.append((timing.NAME, spent.value()))
        if log.isEnabledFor(logging.DEBUG):
            log.debug("request_done", extra={"status": response.status, "timing": spent})
        await respond(send, response.status, named, response.body)

    async def _respond(self, arrival: Arrival, held: ExitStack) -> Response:
        """The answer to a call. `held` gives back what it holds of the budget."""
        call, destination, scope = arrival.call, arrival.destination, arrival.scope
        budget = held.enter_context(self._budget.hold())
        body = await budget.body(scope, arrival.receive, MAX_BODY_BYTES)
        if call.is_upload:
            return await self._deferring.upload(destination, body, MAX_BODY_BYTES)
        if call.result:
            return await self._deferring.result(destination, call.result)
        referred = await self._deferring.size_of(scope, destination)
        if referred is not None:
            check_empty(body)
            place, size_bytes = referred
            budget.take(size_bytes)
            body = await self._deferring.body(place)
        method = scope["method"].encode()
        asked = Asked(method, call.path, arrival.headers, body, arrival.patience)
        wait_s = preferred_wait_s(scope) if self._deferring.is_possible else None
        work = partial(self._answer, arrival.token, destination, asked)
        if wait_s is None:
            return await unless_gone(work(), scope, arrival.receive)
        base = f"/predictions/{call.token}" if call.token else f"/streams/{destination.stream_id}"
        preference = Preference(wait_s, base, arrival.receive, held)
        return await self._deferring.within(preference, work, destination)

    async def finish(self, within_s: float) -> None:
        """Let the predictions end that nobody waits for."""
        await self._deferring.close(within_s)

    def close(self) -> None:
        """Close every idle connection to a replica."""
        self._pool.close()

    async def _tell_metrics(self, scope: Scope, send: Send, request: str) -> None:
        tenant = await asyncio.to_thread(self._lookup.table.tenant_of_admin, bearer(scope))
        lanes = [lane for lane in self._lanes.values() if lane.tenant == tenant]
        headers = [
            (b"content-type", CONTENT_TYPE.encode()),
            (b"cache-control", b"no-store"),
            (b"x-request-id", request.encode()),
        ]
        await respond(send, 200, headers, metrics.text(lanes, self._refused).encode())

    def _note(
        self, traffic: Traffic | None, status: int, began_s: float, spent: Timing | None = None
    ) -> None:
        if traffic is None:
            self._refused[status] += 1
        else:
            traffic.note(status, time.monotonic() - began_s, spent)

    def _tidy(self) -> None:
        self._pool.keep(self._lookup.table.addresses())

    async def _admit(self, token: str, stream_id: int | None) -> Destination:
        if not token:
            raise Unauthenticated(
                "The request carries no presigned token.",
                hint="Send it as `Authorization: Bearer TOKEN`.",
            )
        destination = await self._lookup.find(token)
        if stream_id is not None and destination.stream_id != stream_id:
            raise Unauthenticated(
                f"The presigned token is not one of stream {stream_id}.",
                hint="Use the token that `hookline model deploy` printed for this stream.",
            )
        return destination

    def _enter(self, tenant: str) -> None:
        """Count one more of the tenant's requests, or refuse it."""
        count = self._tenants.get(tenant, 0)
        if count >= self._limits.in_flight_per_tenant:
            raise TooManyRequests(
                "Your tenant has as many requests in flight as it may.",
                why=f"Together its streams take {self._limits.in_flight_per_tenant} at once here.",
                hint="Send fewer at a time.",
            )
        self._tenants[tenant] = count + 1

    def _lane(self, destination: Destination) -> Lane:
        place = (destination.tenant, destination.stream_id)
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = Lane(*place)
        lane.is_elastic = destination.is_elastic
        return lane

    async def _answer(self, token: str, destination: Destination, asked: Asked) -> Response:
        lane = self._lane(destination)
        self._enter(lane.tenant)
        try:
            if not destination.addresses:
                destination = await self._woken(token, destination, lane, asked.patience)
            response = await self._send(token, destination, asked, lane.meter)
        except (NotReady, _HeldTooLong):
            lane.unserved += 1
            raise
        except HooklineError as error:
            lane.failed += error.status >= _SERVER_FAULT
            raise
        finally:
            self._tenants[lane.tenant] -= 1
        lane.answered += 1
        lane.failed += response.status >= _SERVER_FAULT
        return response

    async def _woken(
        self, token: str, destination: Destination, lane: Lane, patience: Patience
    ) -> Destination:
        """Hold the request until a replica is there. Raise NotReady when none comes in time."""
        if not destination.may_sleep:
            raise _no_replica(destination)
        if lane.meter.waiting >= self._limits.waiting_per_stream:
            raise Overloaded(
                f"As many requests as may already wait for stream {destination.stream_id}.",
                why="It had no replica, since it was idle, and is starting one.",
                hint="Try again shortly.",
            )
        lane.meter.waiting += 1
        self._reporter.hurry()
        left_s = patience.left_s()
        try:
            async with asyncio.timeout(min(left_s, self._limits.hold_s)):
                while not destination.addresses:
                    await asyncio.sleep(_LOOK_S)
                    destination = await self._lookup.find(token)
        except TimeoutError:
            if left_s > self._limits.hold_s:
                raise _no_replica(destination) from None
            raise _HeldTooLong(
                "There was no replica within the time that the request allows.",
                why=f"Stream {destination.stream_id} was idle, and is starting one.",
                hint="Allow more time with X-Request-Timeout-Ms, or try again shortly.",
            ) from None
        finally:
            lane.meter.waiting -= 1
        return destination

    async def _send(
        self, token: str, destination: Destination, asked: Asked, meter: Meter
    ) -> Response:
        for upstream in self._with_room(destination):
            meter.begin()
            try:
                headers = [*asked.headers, *asked.patience.header()]
                response = await upstream.ask(asked.method, asked.path, headers, asked.body)
            except NotSent:  # dead, or not yet replaced in the table: the next one may take it
                self._pool.rest(upstream)
                self._lookup.table.forget(token)
            else:
                self._pool.reached(upstream)
                return response
            finally:
                meter.end()
        raise _no_replica(destination)

    def _with_room(self, destination: Destination) -> Sequence[Upstream]:
        """The stream's replicas in the order in which to try them."""
        upstreams = self._pool.by_load(destination.addresses)
        most = self._limits.in_flight_per_replica
        if upstreams[0].in_flight >= most and all(up.in_flight >= most for up in upstreams):
            raise Overloaded(
                "Every replica of this stream is busy.",
                why=f"Each has {most} requests in flight.",
                hint="Try again shortly, or deploy with more replicas.",
            )
        return upstreams


def _no_replica(destination: Destination) -> NotReady:
    return NotReady(
        f"No replica of stream {destination.stream_id} can be reached.",
        why="They are starting, or were just replaced.",
        hint="Try again shortly.",
    )


def _forwarded(scope: Scope, request: str) -> Headers:
    kept = [(name, value) for name, value in scope["headers"] if name in _FORWARDED]
    return [*kept, (b"x-request-id", request.encode()), timing.ASK]


def _spent(response: Response, total_ms: float) -> Timing | None:
    """Where the time went. User code runs in the replica, so what it tells may be anything."""
    told = next((value for name, value in response.headers if name == timing.NAME), b"")
    found = Timing.parsed(told)
    return found and found.through(total_ms)
