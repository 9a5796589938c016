from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hookline.core.errors import DeadlineExceeded
from hookline.runtime import asgi


def test_a_body_that_stops_arriving_is_not_awaited_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asgi, "BODY_IDLE_S", 0.02)
    pieces = iter([{"type": "http.request", "body": b"a", "more_body": True}])

    async def receive() -> Any:
        for piece in pieces:
            return piece
        await asyncio.sleep(60)
        return {}

    with pytest.raises(DeadlineExceeded, match="stopped arriving"):
        asyncio.run(asgi.read_body({"headers": []}, receive, 100))
