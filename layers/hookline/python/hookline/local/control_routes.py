"""Answers control calls by asking the authorizer, then the function, as API Gateway does."""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from hookline.core.errors import Unauthenticated
from hookline.core.routes import Match, Routes
from hookline.core.topology import FUNCTIONS, PUBLIC_ROUTES
from hookline.local.bridge import (
    Context,
    Handler,
    HttpRequest,
    authorizer_event,
    http_event,
)
from hookline.runtime.asgi import Receive, Scope, Send, read_body, respond

MAX_BODY_BYTES = 10 * 1024 * 1024  # API Gateway's payload limit

_AUTHORIZER = next(function.name for function in FUNCTIONS if function.is_authorizer)


@dataclass(frozen=True, slots=True)
class ControlRoutes:
    """The control plane over HTTP. Functions are plain Python and run in `executor`'s threads."""

    handlers: dict[str, Handler]
    executor: Executor
    routes: Routes

    async def answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        """Raise NotFound or Unauthenticated before the body is read."""
        head = HttpRequest(
            method=scope["method"],
            raw_path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers={name.decode(): value.decode("latin-1") for name, value in scope["headers"]},
            body=b"",
            source_ip=(scope.get("client") or ("", 0))[0],
            request_id=request_id,
        )
        loop = asyncio.get_running_loop()
        match = self.routes.match(head.method, head.raw_path)
        caller = await loop.run_in_executor(self.executor, self._admit, head, match)
        request = replace(head, body=await read_body(scope, receive, MAX_BODY_BYTES))
        answer = await loop.run_in_executor(self.executor, self._call, request, match, caller)
        await _respond(send, answer, request_id)

    def _admit(self, request: HttpRequest, match: Match) -> dict[str, Any]:
        return {} if match.route in PUBLIC_ROUTES else self._authorize(request, match)

    def _call(self, request: HttpRequest, match: Match, caller: dict[str, Any]) -> dict[str, Any]:
        event = http_event(request, match, caller)
        return self.handlers[match.function](event, Context(match.function, request.request_id))

    def _authorize(self, request: HttpRequest, match: Match) -> dict[str, Any]:
        event = authorizer_event(request, match)
        answer = self.handlers[_AUTHORIZER](event, Context(_AUTHORIZER, request.request_id))
        if not answer.get("isAuthorized"):
            raise Unauthenticated(
                "The API key is missing, unknown or expired.",
                why="Every operation but GET /openapi.json needs one.",
                hint="Send it as `Authorization: Bearer hk_…`; the command line takes it from "
                "HOOKLINE_KEY, or from the profile that `hookline up` wrote.",
            )
        context: dict[str, Any] = answer["context"]
        return context


async def _respond(send: Send, answer: dict[str, Any], request_id: str) -> None:
    text = answer.get("body") or ""
    body = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
    headers = [
        (name.lower().encode(), str(value).encode("latin-1", "replace"))
        for name, value in (answer.get("headers") or {}).items()
    ]
    named = [*headers, (b"x-request-id", request_id.encode())]
    await respond(send, answer["statusCode"], named, body)
