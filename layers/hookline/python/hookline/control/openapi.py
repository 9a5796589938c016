"""The API describes itself: GET /openapi.json, made from the routes on first use."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import Response, content_types

import hookline
from hookline.control import app, batches, models, streams, triggers, users, verification, volumes
from hookline.core.ports import Ports
from hookline.core.topology import Handler

router = app.Router()

ROUTERS = (
    models.router,
    streams.router,
    volumes.router,
    triggers.router,
    batches.router,
    verification.router,
    users.router,
    router,
)

_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457): a sentence for a person, a code for a program.",
    "required": ["type", "title", "status", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "What happened."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "Why."},
        "hint": {"type": "string", "description": "What to do next."},
        "code": {"type": "string", "description": "Never changes, unlike the sentences."},
        "trace": {"type": "string", "description": "The lines of the user's own code."},
        "request_id": {"type": "string"},
    },
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and the same body give the same resource, for a day.",
    "schema": {"type": "string", "maxLength": 255},
}
_FAULT = {
    "description": "What went wrong.",
    "content": {app.PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def build(ports: Ports) -> Handler:
    """The handler of the route below."""
    return app.handler([router], ports)


@router.get("/openapi.json")
def describe() -> Response[str]:
    """Describe every operation (OpenAPI 3.1). It takes no key."""
    return Response(200, content_types.APPLICATION_JSON, document())


@cache
def document() -> str:
    """The description as JSON."""
    api = app.Api(ROUTERS)
    schema = api.get_openapi_schema(
        title="hookline",
        version=hookline.__version__,
        openapi_version="3.1.0",
        description="An inference cloud you own.",
    )
    described = schema.model_dump(by_alias=True, exclude_none=True, mode="json")
    for method, path, function in api.operations():
        _finish(described["paths"][path][method], method, path, function)
    components = described["components"]
    for unused in ("HTTPValidationError", "ValidationError", "ResponseValidationError"):
        components["schemas"].pop(unused, None)
    components["schemas"]["Problem"] = _PROBLEM
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return json.dumps(described)


def _finish(operation: dict[str, Any], method: str, path: str, function: Any) -> None:
    """Say what Powertools cannot know: our words, our errors, our key."""
    operation["operationId"] = function.__name__
    operation["summary"] = function.__doc__.partition("\n")[0]
    operation["tags"] = [path.removeprefix("/v1/").partition("/")[0]]
    answers = operation["responses"]
    operation["responses"] = {code: answers[code] for code in answers if code.startswith("2")}
    operation["responses"].get("204", {}).pop("content", None)
    operation["responses"]["default"] = _FAULT
    if function is not describe:
        operation["security"] = [{"key": []}]
    if method == "post" and "requestBody" in operation:
        operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
