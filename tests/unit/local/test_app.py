"""The address of `hookline up`, called as an ASGI application."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hookline.adapters.embedded.blobs import FolderBlobs
from hookline.core.ports import Ports
from hookline.core.routes import Routes
from hookline.gateway.proxy import Gateway
from hookline.gateway.routing import RoutingTable
from hookline.local.app import App
from hookline.local.blob_routes import BlobRoutes
from hookline.local.bridge import handlers
from hookline.local.control_routes import ControlRoutes

SECRET = b"s" * 32


async def nothing() -> None:
    """What the application does at its start and its end."""


@pytest.fixture
def app(ports: Ports, tmp_path: Path) -> App:
    return App(
        control=ControlRoutes(handlers(ports, {}), ThreadPoolExecutor(1), Routes()),
        gateway=Gateway(RoutingTable(ports.catalog)),
        blobs=BlobRoutes(FolderBlobs.prepare(tmp_path / "blobs", secret=SECRET), SECRET),
        host="127.0.0.1",
        on_start=nothing,
        on_stop=nothing,
    )


class Caller:
    """One request, which notices whether its body was asked for."""

    def __init__(self, method: str, path: str, **headers: str) -> None:
        given = {"host": "127.0.0.1:8700", **headers}
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        self.is_body_read = False
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        self.is_body_read = True
        return {"type": "http.request", "body": b"{}"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    def ask(self, app: App) -> int:
        """Call the application; return the status."""
        asyncio.run(app(self.scope, self.receive, self.send))
        return int(self.sent[0]["status"])


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer hk_" + "0" * 64}])
def test_nobody_without_a_key_makes_the_server_read_a_body(
    app: App, headers: dict[str, str]
) -> None:
    caller = Caller("POST", "/v1/models", **headers)

    assert caller.ask(app) == 401
    assert not caller.is_body_read


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "[::1]:8700", "LOCALHOST"])
def test_the_names_of_this_machine_are_answered(app: App, host: str) -> None:
    assert Caller("GET", "/ping", host=host).ask(app) == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.com",
        "127.0.0.1.nip.io",
        "127.0.0.1:80@evil.com",
        "127.0.0.1:x",
        "[::1]:evil.com",
        "localhost.",
        "0.0.0.0",
        "localhost\n",
    ],
)
def test_a_name_that_someone_else_may_own_is_refused(app: App, host: str) -> None:
    assert Caller("GET", "/ping", host=host).ask(app) == 400


@pytest.mark.parametrize("path", ["/v1/models", "/predict", "/predictions/x", "/ping"])
@pytest.mark.parametrize("origin", ["http://evil.com", "null", "http://127.0.0.1.nip.io", "x"])
def test_a_page_of_another_site_is_refused(app: App, path: str, origin: str) -> None:
    caller = Caller("POST", path, origin=origin)

    assert caller.ask(app) == 403
    assert json.loads(caller.sent[1]["body"])["code"] == "forbidden"
    assert not caller.is_body_read


def test_a_page_of_this_machine_is_answered(app: App) -> None:
    assert Caller("GET", "/ping", origin="http://localhost:8700").ask(app) == 200
