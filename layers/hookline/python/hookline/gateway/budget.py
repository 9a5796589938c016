"""How many bytes of request bodies the gateway holds at once."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from hookline.core.errors import Overloaded
from hookline.runtime.asgi import Receive, Scope, body_chunks


class Budget:
    """Shared by all requests. A body that would exceed it is refused, not waited for."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.held_bytes = max_bytes, 0

    def hold(self) -> Hold:
        """What one request holds: `with budget.hold() as held: await held.body(…)`."""
        return Hold(self)


class Hold:
    """One request's share, given back at the end of its `with` block."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self._bytes = budget, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._budget.held_bytes -= self._bytes

    async def body(self, scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
        """The whole body. Raise Overloaded when the budget ends, else as `body_chunks` does."""
        pieces = []
        async for chunk in body_chunks(scope, receive, limit_bytes):
            self.take(len(chunk))
            pieces.append(chunk)
        return b"".join(pieces)

    def take(self, size_bytes: int) -> None:
        """Hold that many more. Raise Overloaded when the budget ends."""
        if self._budget.held_bytes + size_bytes > self._budget.max_bytes:
            raise Overloaded(
                "The gateway holds as many request bodies as it may.",
                why=f"Together they have at most {self._budget.max_bytes} bytes.",
                hint="Try again shortly, or send smaller files.",
            )
        self._budget.held_bytes += size_bytes
        self._bytes += size_bytes
