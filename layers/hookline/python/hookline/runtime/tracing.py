"""Tell of every hook call what went in, what came out and how long it took."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from hookline.runtime.items import Item

log = logging.getLogger(__name__)


def traced(name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
    """`hook`, with one log line per call: its first argument's size, its result's, its time."""

    @wraps(hook)
    def call(*args: Any) -> Any:
        started = time.monotonic()
        result: Any = None
        try:
            result = hook(*args)
        finally:
            log.info(
                "hook_call",
                extra={
                    "hook": name,
                    "input": size_of(args[0]),
                    "output": size_of(result),
                    "duration_ms": round((time.monotonic() - started) * 1000, 3),
                },
            )
        return result

    return call


def size_of(value: Any) -> str:
    """The kind and size of a value, never its content."""
    if isinstance(value, Item):
        return f"{value.mime_type} {len(value.body)} bytes"
    kind = type(value).__name__
    if hasattr(value, "shape"):
        return f"{kind} {getattr(value, 'dtype', '')} {list(value.shape)}"
    return f"{kind} {len(value)}" if hasattr(value, "__len__") else kind
