"""How long the caller of a request is willing to wait, as X-Request-Timeout-Ms says."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable

HEADER = b"x-request-timeout-ms"

_MILLISECONDS = re.compile(rb"0*[1-9][0-9]{0,9}", re.ASCII)  # as a replica reads it


class Patience:
    """Counts from when it is made. A value that cannot be read is left to the replica to refuse."""

    def __init__(self, value: bytes = b"", timer: Callable[[], float] = time.monotonic) -> None:
        self._value, self._timer = value, timer
        is_known = _MILLISECONDS.fullmatch(value) is not None
        self._ends = timer() + int(value) / 1000 if is_known else math.inf

    def left_s(self) -> float:
        """Infinite where nothing was said; 0 once it is over."""
        return max(0.0, self._ends - self._timer())

    def header(self) -> list[tuple[bytes, bytes]]:
        """What the replica is to be told: the time that is left."""
        if not self._value:
            return []
        if self._ends == math.inf:
            return [(HEADER, self._value)]
        return [(HEADER, b"%d" % max(1, int(1000 * self.left_s())))]
