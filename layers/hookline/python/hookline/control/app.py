"""Turns a router into a Lambda handler for API Gateway's payload 2.0, with errors as problems."""

from __future__ import annotations

import base64
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
)
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from hookline.control.faults import sentence
from hookline.core import finite
from hookline.core.errors import (
    BadRequest,
    HooklineError,
    InvalidInput,
    MethodNotAllowed,
    Transient,
    UnsupportedMediaType,
    problem,
)
from hookline.core.ports import Ports
from hookline.core.routes import Routes, no_operation
from hookline.core.topology import Handler

log = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
FORM = "application/x-www-form-urlencoded"
SERVER_FAULT = 500
RETRY_AFTER_S = "1"
MAX_LISTED_ERRORS = 20


class Router(APIGatewayHttpRouter):
    """The routes of a module. Its functions take a `Call`, path and query parameters, a body."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Powertools leaves it without types


def handler(routers: Sequence[Router], ports: Ports, **shared: object) -> Handler:
    """Answer the routes of `routers`; any number of threads may call it at once.

    A resolver holds the state of one request, so each call takes an idle one or makes another.
    `shared` is what its routes find beside the ports in the context of a request.
    """
    idle: deque[Api] = deque()

    def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
        try:
            api = idle.pop()
        except IndexError:
            api = Api(routers, {"ports": ports, **shared})
        try:
            return api.resolve(event, context)
        finally:
            idle.append(api)

    return handle


class Api(APIGatewayHttpResolver):
    """A resolver of our routes. It serves one request at a time."""

    def __init__(
        self, routers: Sequence[Router], shared: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(
            enable_validation=True,
            response_validation_error_http_code=SERVER_FAULT,
            json_body_deserializer=parsed,
        )
        self._shared = dict(shared or {})
        for router in routers:
            self.include_router(router)
        self.exception_handler(HooklineError)(self._known)
        self.exception_handler(RequestValidationError)(self._invalid)
        self.exception_handler(RequestUnsupportedContentType)(self._not_json)
        self.exception_handler(NotFoundError)(self._no_route)
        self.exception_handler(Exception)(self._unknown)

    def resolve(self, event: Any, context: Any) -> dict[str, Any]:
        event = {**event, **_as_text(event), "headers": _without_form(event.get("headers") or {})}
        # Powertools keeps the event on the class, where every thread would see it; an attribute of
        # the instance hides that one. And it gives a resolver the context of another one that the
        # routers joined before, with the request that may be in progress there.
        self.current_event = APIGatewayProxyEventV2(event, parsed)
        self.context = dict(self._shared)
        return super().resolve(event, context)

    def operations(self) -> list[tuple[str, str, Callable[..., Any]]]:
        """Method, path as OpenAPI writes it, and function of every route."""
        routes = [*self._static_routes, *self._dynamic_routes]
        return [(route.method.lower(), route.openapi_path, route.func) for route in routes]

    def _known(self, error: HooklineError) -> Response[str]:
        if error.status >= SERVER_FAULT:
            self._log_failure(error)
        return self._answer(error)

    def _unknown(self, error: Exception) -> Response[str]:
        self._log_failure(error)
        return self._answer(
            HooklineError(
                "An internal error happened.", hint="Tell its request id to the operator."
            )
        )

    def _invalid(self, error: RequestValidationError) -> Response[str]:
        shown = [sentence(fault) for fault in error.errors()[:MAX_LISTED_ERRORS]]
        return self._answer(
            InvalidInput(
                "The request does not fit.",
                why=" ".join(shown),
                hint="GET /openapi.json describes every request.",
            )
        )

    def _not_json(self, _error: Exception) -> Response[str]:
        return self._answer(
            UnsupportedMediaType("The body is not JSON.", hint="Send it as application/json.")
        )

    def _no_route(self, _error: Exception) -> Response[str]:
        http = self.current_event.request_context.http
        allowed = _routes().methods(http.path)
        if not allowed or http.method in allowed:
            return self._answer(no_operation(http.method, http.path))
        methods = ", ".join(allowed)
        refused = MethodNotAllowed(
            f"{http.path} does not take {http.method}.", hint=f"It takes {methods}."
        )
        return self._answer(refused, {"Allow": methods})

    def _answer(
        self, error: HooklineError, headers: Mapping[str, str] | None = None
    ) -> Response[str]:
        members = problem(error, request_id=self._request_id)
        more = {"Retry-After": RETRY_AFTER_S} if isinstance(error, Transient) else {}
        return Response(
            error.status, PROBLEM_JSON, json.dumps(members), headers={**(headers or {}), **more}
        )

    @property
    def _request_id(self) -> str:
        return str(self.current_event["requestContext"].get("requestId", ""))

    def _log_failure(self, error: Exception) -> None:
        log.error("request_failed", exc_info=error, extra={"request_id": self._request_id})


@cache
def _routes() -> Routes:
    return Routes()


def _as_text(event: dict[str, Any]) -> dict[str, Any]:
    """The body of the event, decoded; bytes that are no text are left for `parsed` to refuse."""
    if not event.get("isBase64Encoded"):
        return {}
    body = base64.b64decode(event["body"] or "").decode(errors="surrogateescape")
    return {"body": body, "isBase64Encoded": False}


def _without_form(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers; a body that `curl -d` calls a form is JSON like every other."""
    return {
        name: value
        for name, value in headers.items()
        if not (name.lower() == "content-type" and value.startswith(FORM))
    }


def parsed(body: str) -> dict[str, Any]:
    """The JSON object in a request's body. Raise BadRequest for anything else."""
    try:
        body.encode()
        value = finite.loads(body)
        if "\\ud" in body.lower():
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        why = "It is nested too deep." if isinstance(error, RecursionError) else f"{error}."
        raise BadRequest("The body is not valid JSON.", why=why) from None
    if not isinstance(value, dict):
        raise BadRequest("The body is not a JSON object.", hint='Send an object: {"name": …}.')
    return value
