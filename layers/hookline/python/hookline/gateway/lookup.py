"""Asks the routing table without a stampede: once per token at a time, whoever waits for it."""

from __future__ import annotations

import asyncio
import logging

from hookline.core.errors import HooklineError
from hookline.gateway.routing import Destination, RoutingTable

log = logging.getLogger(__name__)

Answer = Destination | HooklineError


class Lookup:
    """The table as the gateway's requests see it. For one event loop."""

    def __init__(self, table: RoutingTable) -> None:
        self.table = table
        self._asking: dict[str, asyncio.Task[Answer]] = {}

    async def find(self, token: str) -> Destination:
        """Raise the error that refuses the token."""
        answer: Answer | None = self.table.kept(token)
        if answer is None:
            asking, answer = self._ask(token), self.table.stale(token)
            if answer is None:
                answer = await asyncio.shield(asking)
        if isinstance(answer, HooklineError):
            raise answer
        return answer

    def _ask(self, token: str) -> asyncio.Task[Answer]:
        asking = self._asking.get(token)
        if asking is None:
            asking = asyncio.create_task(asyncio.to_thread(self.table.resolve, token))
            self._asking[token] = asking
            asking.add_done_callback(lambda done: self._answered(token, done))
        return asking

    def _answered(self, token: str, done: asyncio.Task[Answer]) -> None:
        del self._asking[token]
        error = None if done.cancelled() else done.exception()
        if error:  # perhaps nobody waits for it, since what is stale was good enough
            log.warning("routes_unknown", extra={"why": str(error)})
