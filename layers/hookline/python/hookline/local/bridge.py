"""Turns what happens on this machine into the events that AWS would send to the same functions."""

from __future__ import annotations

import base64
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from hookline.core.ports import Lease, Ports
from hookline.core.routes import Match
from hookline.core.topology import FUNCTIONS, Route

Event = dict[str, Any]
Handler = Callable[[Event, object], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Context:
    """The part of Lambda's context object that the functions read."""

    function_name: str
    aws_request_id: str
    invoked_function_arn: str = "arn:aws:lambda:local:000000000000:function:hookline"
    memory_limit_in_mb: int = 512


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request as the server read it. Header names are lower case."""

    method: str
    raw_path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str
    request_id: str


def handlers(ports: Ports, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Handler]:
    """Every function of the topology, built on `ports`; `options` are extra arguments by name."""
    return {
        function.name: _entry(function.entry)(ports, **options.get(function.name, {}))
        for function in FUNCTIONS
    }


def _entry(entry: str) -> Callable[..., Handler]:
    module, _, name = entry.partition(":")
    build: Callable[..., Handler] = getattr(importlib.import_module(module), name)
    return build


def http_event(request: HttpRequest, match: Match, authorizer: Mapping[str, Any]) -> Event:
    """The request as API Gateway's payload format 2.0."""
    return {
        **_envelope(request, match.route),
        "pathParameters": match.parameters,
        "queryStringParameters": _query(request.query),
        "body": base64.b64encode(request.body).decode() if request.body else None,
        "isBase64Encoded": bool(request.body),
        "requestContext": {
            **_request_context(request, match.route),
            "authorizer": {"lambda": dict(authorizer)},
        },
    }


def authorizer_event(request: HttpRequest, match: Match) -> Event:
    """The request as API Gateway asks a Lambda authorizer about it (payload format 2.0)."""
    key = request.headers.get("authorization", "")
    return {
        **_envelope(request, match.route),
        "type": "REQUEST",
        "routeArn": f"arn:aws:execute-api:local:0:hookline/$default/{request.method}",
        "identitySource": [key] if key else [],
        "requestContext": _request_context(request, match.route),
    }


def _envelope(request: HttpRequest, route: Route) -> Event:
    return {
        "version": "2.0",
        "routeKey": f"{route.method} {route.path}",
        "rawPath": request.raw_path,
        "rawQueryString": request.query,
        "headers": dict(request.headers),
    }


def _request_context(request: HttpRequest, route: Route) -> Event:
    return {
        "accountId": "000000000000",
        "apiId": "hookline",
        "domainName": request.headers.get("host", ""),
        "http": {
            "method": request.method,
            "path": request.raw_path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.source_ip,
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": request.request_id,
        "routeKey": f"{route.method} {route.path}",
        "stage": "$default",
        "timeEpoch": int(time.time() * 1000),
    }


def _query(query: str) -> dict[str, str]:
    # API Gateway joins repeated parameters with commas.
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def sqs_event(leases: Sequence[Lease]) -> Event:
    """Leased messages as SQS hands them to a function."""
    return {
        "Records": [
            {
                "messageId": lease.message_id,
                "receiptHandle": lease.receipt,
                "body": lease.body.decode(),
                "attributes": {"ApproximateReceiveCount": str(lease.attempts)},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:local:000000000000:{lease.queue}",
            }
            for lease in leases
        ]
    }


def failed_ids(answer: object) -> set[str]:
    """The messages that a function could not handle (ReportBatchItemFailures)."""
    failures = answer.get("batchItemFailures", []) if isinstance(answer, dict) else []
    return {failure["itemIdentifier"] for failure in failures}


def scheduled() -> Event:
    """What EventBridge Scheduler sends."""
    return {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
