"""One request on its way through a replica, until it is answered."""

from __future__ import annotations

import itertools
import os
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hookline.core.errors import HooklineError
    from hookline.runtime.batcher import Ticket
    from hookline.runtime.connection import Connection
    from hookline.runtime.gathering import Gathering
    from hookline.runtime.paths import Found

_SAFE_ID = re.compile(rb"[\w.:-]{1,128}")
_URGENCY = re.compile(rb"(?:^|[ ,])u=([0-7])(?:$|[ ,;])", re.ASCII)
DEFAULT_URGENCY = 3  # RFC 9218
_ids = itertools.count()
_PROCESS = os.urandom(8).hex().encode()


def new_id() -> bytes:
    """128 bits in hex that no other request has: random ones of the process, and a count."""
    return b"%b%016x" % (_PROCESS, next(_ids))


class Exchange:
    """What a connection knows of a request. `url` is as it was sent; header names are lower case.

    `deadline_s` is on the monotonic clock, `timeout_s` after the head had come. `is_whole`: all of
    the body is here. `refusal`: the error that was decided on before that. `found`: what its path
    means, where that is not /predict.
    """

    __slots__ = (
        "_pieces",
        "connection",
        "deadline_s",
        "found",
        "headers",
        "is_answered",
        "is_whole",
        "keeps_alive",
        "method",
        "refusal",
        "request_id",
        "size_bytes",
        "ticket",
        "timeout_s",
        "url",
    )

    def __init__(
        self,
        connection: Connection,
        method: bytes,
        url: bytes,
        headers: dict[bytes, bytes],
        keeps_alive: bool,  # noqa: FBT001 - passed by place on the hot path
        timeout_s: float,
    ) -> None:
        self.connection, self.method, self.url, self.headers = connection, method, url, headers
        self.keeps_alive = keeps_alive
        self.is_whole = self.is_answered = False
        self.refusal: HooklineError | None = None
        self.ticket: Ticket | Gathering | None = None
        self.found: Found | None = None
        self.timeout_s = timeout_s
        self.deadline_s = time.monotonic() + timeout_s
        self.size_bytes = 0
        self._pieces: list[bytes] = []
        given = headers.get(b"x-request-id")
        self.request_id = given if given and _SAFE_ID.fullmatch(given) else new_id()

    def allow(self, timeout_s: float) -> None:
        """Give it less time than it has."""
        self.deadline_s += timeout_s - self.timeout_s
        self.timeout_s = timeout_s

    @property
    def urgency(self) -> int:
        """`u` of RFC 9218, 0 the most urgent; what cannot be read has no priority."""
        found = _URGENCY.search(self.headers.get(b"priority", b""))
        return int(found[1]) if found else DEFAULT_URGENCY

    @property
    def mime_type(self) -> str:
        """As the client spells it; empty for none."""
        return self.headers.get(b"content-type", b"").decode("latin-1")

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for leave to send the body."""
        return self.headers.get(b"expect", b"").lower() == b"100-continue"

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def add(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        self._pieces.append(piece)
        self.size_bytes += len(piece)

    def drop_body(self) -> None:
        """Give the memory back."""
        self._pieces.clear()
