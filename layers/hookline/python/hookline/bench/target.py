"""What a bench asks: where it is, and the bytes of a request to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from hookline.core.errors import BadRequest
from hookline.core.timing import ASK

_PATH = "/predict"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """An HTTP server that answers POST. `unix_socket` wins over host and port."""

    host: str
    port: int
    path: str
    token: str = ""
    is_tls: bool = False
    unix_socket: str = ""

    @classmethod
    def of(cls, url: str, token: str = "") -> Target:
        """`http://host[:port][/path]`, https too, or `unix:/path/of/socket`.

        Raise BadRequest for anything else.
        """
        if url.startswith("unix:"):
            return cls("replica", 0, _PATH, token, unix_socket=url.removeprefix("unix:"))
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError):
            parts, port = urlsplit(""), 0
        path = parts.path if parts.path not in ("", "/") else _PATH
        query = f"?{parts.query}" if parts.query else ""
        if not parts.hostname or not f"{path}{query}".isascii() or " " in path:
            raise BadRequest(
                f"{url!r} is not what can be asked.",
                hint="Give a URL such as http://127.0.0.1:8080/predict, or a stream's token.",
            )
        return cls(parts.hostname, port, path + query, token, is_tls=parts.scheme == "https")

    def request(self, body: bytes, mime_type: str, *, is_timed: bool = False) -> bytes:
        """The bytes of one request; a timed one asks where its time goes."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {host}:{self.port}",
            f"Content-Type: {mime_type}",
            f"Content-Length: {len(body)}",
        ]
        lines += [f"Authorization: Bearer {self.token}"] if self.token else []
        lines += [f"{ASK[0].decode()}: {ASK[1].decode()}"] if is_timed else []
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def connect(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Open a connection. Raise OSError."""
        loop = asyncio.get_running_loop()
        if self.unix_socket:
            await loop.create_unix_connection(protocol, self.unix_socket)
            return
        tls = ssl.create_default_context() if self.is_tls else None
        await loop.create_connection(protocol, self.host, self.port, ssl=tls)

    def __str__(self) -> str:
        if self.unix_socket:
            return f"unix:{self.unix_socket}"
        return f"{'https' if self.is_tls else 'http'}://{self.host}:{self.port}{self.path}"
