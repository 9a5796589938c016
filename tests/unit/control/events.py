"""Speaks to the control plane as API Gateway does: payload 2.0 in, answers out."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hookline.core.ports import Ports
from hookline.core.topology import FUNCTIONS, Handler
from tests.granted import granted

ADMIN = {"tenant": "a", "user": "ada", "role": "admin"}
USER = {"tenant": "a", "user": "uma", "role": "user"}
OTHER = {"tenant": "b", "user": "bob", "role": "admin"}


def event(
    method: str,
    target: str,
    body: object = None,
    *,
    who: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A request for `target` (path and query) as `who`; a str or None body is sent as it is."""
    parts = urlsplit(target)
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    return {
        "version": "2.0",
        "routeKey": f"{method} {parts.path}",
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "headers": {"content-type": "application/json", **(headers or {})},
        "queryStringParameters": dict(parse_qsl(parts.query, keep_blank_values=True)),
        "requestContext": {
            "http": {"method": method, "path": parts.path},
            "requestId": "req-1",
            "stage": "$default",
            "authorizer": {"lambda": ADMIN if who is None else who},
        },
        "body": text,
        "isBase64Encoded": False,
    }


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler answered."""

    status: int
    headers: dict[str, str]
    body: Any

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Answer:
        body = json.loads(answer["body"]) if answer["body"] else None
        return cls(answer["statusCode"], answer["headers"], body)


class Plane:
    """The whole control plane: sends a request to the function that the topology names."""

    def __init__(self, ports: Ports) -> None:
        self.ports = ports
        self._functions = [function for function in FUNCTIONS if function.routes]
        self._handlers: dict[str, Handler] = {}

    def handler(self, name: str) -> Handler:
        """The handler of a function, built once."""
        if name not in self._handlers:
            entry = next(function.entry for function in FUNCTIONS if function.name == name)
            module, _, build = entry.partition(":")
            ports = granted(self.ports, name)
            self._handlers[name] = getattr(importlib.import_module(module), build)(ports)
        return self._handlers[name]

    def __call__(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        who: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        function = self._function(method, urlsplit(target).path)
        request = event(method, target, body, who=who, headers=headers)
        return Answer.of(self.handler(function)(request, None))

    def made(self, target: str, body: object = None, **options: Any) -> Any:
        """The body of the answer to a POST that must succeed."""
        answer = self("POST", target, body, **options)
        assert answer.status in (201, 202), answer
        return answer.body

    def shown(self, target: str, **options: Any) -> Any:
        """The body of the answer to a GET that must succeed."""
        answer = self("GET", target, **options)
        assert answer.status == 200, answer
        return answer.body

    def take(self, queue: str) -> list[dict[str, Any]]:
        """Every message of a queue, taken off it."""
        bodies = []
        while leases := self.ports.queue.receive(queue, 10, lease_s=60):
            for lease in leases:
                bodies.append(json.loads(lease.body))
                self.ports.queue.ack(lease)
        return bodies

    def _function(self, method: str, path: str) -> str:
        for function in self._functions:
            for route in function.routes:
                pattern = re.sub(r"\{\w+\}", "[^/]+", route.path)
                if route.method == method and re.fullmatch(pattern, path):
                    return function.name
        raise AssertionError(f"no route {method} {path}")
