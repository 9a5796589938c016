"""Predictions that outlive their request: `Prefer: respond-async`, uploads and results."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from hookline.core.errors import (
    BadRequest,
    HooklineError,
    InvalidInput,
    NotFound,
    Overloaded,
    Unavailable,
    problem,
)
from hookline.gateway.kept import Kept, Place, Seen
from hookline.gateway.routing import Destination
from hookline.gateway.upstream import Response
from hookline.runtime.asgi import ClientGone, Receive, Scope, header, until_gone

log = logging.getLogger(__name__)

MAX_DEFERRED = 512
LONGEST_WAIT_S = 25.0  # API Gateway gives up after 30 s
SWEEP_S = 600.0
REFERENCE = b"body-reference"
_JSON = (b"content-type", b"application/json")
_ASYNC = re.compile(r"(?:^|,)\s*respond-async\s*(?:;[^,]*)?(?:$|,)", re.IGNORECASE)
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)


class Size(msgspec.Struct, forbid_unknown_fields=True):
    """What an upload is asked for with."""

    size_bytes: int


def preferred_wait_s(scope: Scope) -> float | None:
    """How long to wait for the answer before it is deferred; None: for as long as it takes.

    `Prefer: respond-async, wait=20` of RFC 7240.
    """
    prefer = ", ".join(
        value.decode("latin-1") for name, value in scope["headers"] if name == b"prefer"
    )
    if not prefer or not _ASYNC.search(prefer):
        return None
    wait = _WAIT.search(prefer)
    return min(float(wait[1]), LONGEST_WAIT_S) if wait else 0.0


@dataclass(frozen=True, slots=True)
class Preference:
    """How long a caller waits, and below which path it asks then. `held` is closed at the end."""

    wait_s: float
    base: str
    receive: Receive
    held: ExitStack


class Deferring:
    """Keeps the work that nobody waits for, and tells what came of it."""

    def __init__(self, kept: Kept | None) -> None:
        self._kept = kept
        self._running: set[asyncio.Task[None]] = set()
        self._tenants: set[str] = set()

    @property
    def is_possible(self) -> bool:
        """Whether there is a place to keep answers."""
        return self._kept is not None

    async def run(self) -> None:
        """Delete what is too old, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for tenant in list(self._tenants):
                try:
                    await asyncio.to_thread(self._store.sweep, tenant)
                except HooklineError as error:
                    log.warning("sweep_failed", extra={"why": str(error)})

    async def close(self, within_s: float) -> None:
        """Let what runs come to its end; what does not is told to be lost."""
        if self._running:
            await asyncio.wait(self._running, timeout=within_s)
        for task in list(self._running):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def upload(self, destination: Destination, body: bytes, limit_bytes: int) -> Response:
        """Where to send a body that is too large for a request."""
        try:
            wanted = msgspec.json.decode(body, type=Size)
        except msgspec.MsgspecError as error:
            raise InvalidInput(
                "An upload is asked for with its size.", why=f"{error}.", hint='{"size_bytes": N}'
            ) from error
        place = self._place(destination)
        signed = await asyncio.to_thread(self._store.lend, place, wanted.size_bytes, limit_bytes)
        request = {"method": signed.method, "url": signed.url, "headers": dict(signed.headers)}
        return _told(201, {"reference": place.id, "request": request})

    async def size_of(self, scope: Scope, destination: Destination) -> tuple[Place, int] | None:
        """The body that a request refers to, and its size; None for a request with its own."""
        reference = header(scope, REFERENCE)
        if not reference:
            return None
        place = self._place(destination, reference)
        return place, await asyncio.to_thread(self._store.size_bytes, place)

    async def body(self, place: Place) -> bytes:
        """What was uploaded there."""
        return await asyncio.to_thread(self._store.body, place)

    async def within(
        self,
        preference: Preference,
        work: Callable[[], Coroutine[Any, Any, Response]],
        destination: Destination,
    ) -> Response:
        """The answer if it comes in time, else where it will be."""
        if len(self._running) >= MAX_DEFERRED:
            raise Overloaded("This gateway has as many answers under way as it may keep.")
        task = asyncio.ensure_future(work())
        gone = asyncio.ensure_future(until_gone(preference.receive))
        try:
            either = {task, gone}
            await asyncio.wait(
                either, timeout=preference.wait_s, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                return task.result()
            if gone.done():
                raise ClientGone  # noqa: TRY301 - what is below stops the work in either case
            place = self._place(destination)
            await asyncio.to_thread(self._store.begin, place)
        except BaseException:
            task.cancel()
            with suppress(asyncio.CancelledError, HooklineError):
                await task
            raise
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone
        keeping = asyncio.ensure_future(self._keep(place, task, preference.held.pop_all()))
        self._running.add(keeping)
        keeping.add_done_callback(self._running.discard)
        location = f"{preference.base}/results/{place.id}"
        response = _told(202, {"id": place.id, "status": "running", "location": location})
        response.headers += [
            (b"location", location.encode()),
            (b"preference-applied", b"respond-async"),
            (b"retry-after", b"1"),
        ]
        return response

    async def result(self, destination: Destination, text: str) -> Response:
        """What came of a deferred prediction: its answer, a link to it, or that it runs."""
        place = self._place(destination, text)
        seen = await asyncio.to_thread(self._store.look, place)
        if seen.state == "lost":
            raise Unavailable(
                "The prediction was lost: its gateway has ended.", hint="Send it again."
            )
        if seen.state == "running" or seen.response is None:
            response = _told(202, {"id": place.id, "status": "running"})
            response.headers.append((b"retry-after", b"1"))
            return response
        return _linked(seen, seen.response) if seen.link else seen.response

    async def _keep(self, place: Place, task: asyncio.Future[Response], held: ExitStack) -> None:
        with held:
            try:
                response = await task
            except HooklineError as error:
                response = _problem(error, place)
            except asyncio.CancelledError:
                task.cancel()
                response = _problem(Unavailable("The gateway had to stop."), place)
            except Exception:  # the edge around a request
                log.exception("request_failed")
                response = _problem(HooklineError("Internal error."), place)
            try:
                await asyncio.to_thread(self._store.finish, place, response)
            except HooklineError as error:
                log.warning("answer_lost", extra={"why": str(error)})

    def _place(self, destination: Destination, text: str = "") -> Place:
        self._tenants.add(destination.tenant)
        if text:
            return Place.of(destination.tenant, destination.stream_id, text)
        return Place.new(destination.tenant, destination.stream_id)

    @property
    def _store(self) -> Kept:
        if self._kept is None:
            raise NotFound("This gateway keeps no bodies and answers.")
        return self._kept


def check_empty(body: bytes) -> None:
    """Raise BadRequest where a request refers to a body and has one."""
    if body:
        raise BadRequest("The request has a body, and refers to another one.")


def _told(status: int, document: object) -> Response:
    return Response(status, [_JSON], json.dumps(document).encode())


def _problem(error: HooklineError, place: Place) -> Response:
    headers = [(b"content-type", b"application/problem+json")]
    return Response(error.status, headers, json.dumps(problem(error, request_id=place.id)).encode())


def _linked(seen: Seen, response: Response) -> Response:
    """The answer is large: it is fetched from where it lies."""
    kinds = [value for name, value in response.headers if name == b"content-type"]
    linked = _told(303, {"status": "done", "location": seen.link, "answer_status": response.status})
    linked.headers += [(b"location", seen.link.encode())]
    linked.headers += [(b"x-answer-content-type", kind) for kind in kinds[:1]]
    return linked
