"""What botocore's sessions call: for a while, also a test's own handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import botocore.handlers


@contextmanager
def handled(*mine: tuple[str, Callable[..., Any]]) -> Iterator[None]:
    """Every session that is made meanwhile calls them, each at its event."""
    handlers: Any = botocore.handlers.BUILTIN_HANDLERS
    handlers.extend(mine)
    try:
        yield
    finally:
        for one in mine:
            handlers.remove(one)
