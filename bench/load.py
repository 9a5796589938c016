"""A closed-loop HTTP load generator: N kept-alive connections, each with one request in flight."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import uvloop


@dataclass(frozen=True, slots=True)
class Load:
    """What one run saw. Latencies in seconds, sorted."""

    requests: int
    errors: int
    seconds: float
    connections: int
    latencies_s: list[float] = field(repr=False)

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds

    @property
    def little(self) -> float:
        """Requests/s × mean latency / connections: near 1, or some connection hung."""
        return sum(self.latencies_s) / self.seconds / self.connections

    def percentile_ms(self, percent: float) -> float:
        place = math.ceil(len(self.latencies_s) * percent / 100) - 1
        return 1000 * self.latencies_s[max(place, 0)]


_OK = b"HTTP/1.1 200"


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, ends_at: float, done: asyncio.Future[None]) -> None:
        self.request, self.ends_at, self.done = request, ends_at, done
        self.latencies_s: list[float] = []
        self.errors = 0
        self.received = b""
        self.usual_bytes = -1  # what a whole answer takes, once one has come

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.send()

    def send(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if len(data) == self.usual_bytes and not self.received and data.startswith(_OK):
            self.answered(is_good=True)  # the answers to equal requests are equally long
            return
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator or not _is_whole(head.lower(), body):
            return
        self.usual_bytes, self.received = len(self.received), b""
        self.answered(is_good=head.startswith(_OK))

    def answered(self, *, is_good: bool) -> None:
        now = time.perf_counter()
        self.latencies_s.append(now - self.sent_at)
        self.errors += not is_good
        if now < self.ends_at:
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.errors += exc is not None or time.perf_counter() < self.ends_at
        self.done.set_result(None)


def _is_whole(head: bytes, body: bytes) -> bool:
    """Whether all of the answer has come; `head` in lower case."""
    if b"\r\ntransfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    _, _, rest = head.partition(b"\r\ncontent-length:")
    return len(body) >= int(rest.partition(b"\r\n")[0])


def post(
    path: str,
    body: bytes,
    content_type: str,
    token: str = "",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of one POST request."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {content_type}"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def drive(port: int, request: bytes, connections: int, seconds: float) -> Load:
    """Send `request` over and over to 127.0.0.1:`port` for `seconds`."""
    load: Load = uvloop.run(_drive(port, request, connections, seconds))
    return load


def _same(connection: _Connection) -> _Connection:
    return connection


async def _drive(port: int, request: bytes, connections: int, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    opened = [
        _Connection(request, started + seconds, loop.create_future()) for _ in range(connections)
    ]
    for connection in opened:
        await loop.create_connection(partial(_same, connection), "127.0.0.1", port)
    async with asyncio.timeout(seconds + 30):
        await asyncio.gather(*(connection.done for connection in opened))
    elapsed = time.perf_counter() - started
    latencies = sorted(each for one in opened for each in one.latencies_s)
    errors = sum(connection.errors for connection in opened)
    return Load(len(latencies), errors, elapsed, connections, latencies)
