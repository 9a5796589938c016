"""Bodies and answers that are too large, or too slow, for one request: kept as blobs for a while.

Any gateway of a tenant can tell of a prediction that another one has begun.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Literal

from hookline.core.errors import InvalidInput, NotFound, TooLarge
from hookline.core.ports import Blobs, SignedRequest
from hookline.gateway.upstream import Response

KEEP_S = 3600.0
INLINE_BYTES = 5 * 1024 * 1024  # API Gateway passes on at most 10 MB, with everything around it
LOST_S = 180.0  # more than any prediction takes: its gateway has ended
_ID = re.compile(r"[0-9a-f]{32}")

State = Literal["running", "lost", "done"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one prediction is kept."""

    tenant: str
    stream_id: int
    id: str

    @classmethod
    def new(cls, tenant: str, stream_id: int) -> Place:
        """One that nobody can guess."""
        return cls(tenant, stream_id, token_hex(16))

    @classmethod
    def of(cls, tenant: str, stream_id: int, text: str) -> Place:
        """Raise NotFound for what is no id."""
        if not _ID.fullmatch(text):
            raise unknown(text)
        return cls(tenant, stream_id, text)

    def key(self, name: Literal["body", "begun", "answer", "head"]) -> str:
        return f"{prefix(self.tenant)}{self.stream_id}/{self.id}/{name}"


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a prediction is. `link` leads to the body of an answer that is a large one."""

    state: State
    response: Response | None = None
    link: str = ""


class Kept:
    """All predictions that are kept. Every call waits for a store, so make it in a thread."""

    def __init__(self, blobs: Blobs, clock: Callable[[], float]) -> None:
        self._blobs, self._clock = blobs, clock

    def lend(self, place: Place, size_bytes: int, limit_bytes: int) -> SignedRequest:
        """A request that uploads the body. Raise TooLarge, or InvalidInput for no size."""
        if size_bytes < 1:
            raise InvalidInput("size_bytes is the size of the body, from 1.")
        if size_bytes > limit_bytes:
            raise TooLarge(
                f"A body of {size_bytes} bytes is too large.", why=f"At most {limit_bytes}."
            )
        key = place.key("body")
        return self._blobs.presign("PUT", key, expires_s=int(KEEP_S), size_bytes=size_bytes)

    def size_bytes(self, place: Place) -> int:
        """Of the body that was uploaded. Raise NotFound if none was."""
        info = self._blobs.stat(place.key("body"))
        if info is None or self._is_old(info.modified_at):
            raise NotFound(
                f"There is no body {place.id}.",
                why="It was never uploaded, or was dropped after an hour.",
                hint="Ask for another upload, send the body there, then predict.",
            )
        return info.size_bytes

    def body(self, place: Place) -> bytes:
        """What was uploaded."""
        with self._blobs.open(place.key("body")) as file:
            return file.read()

    def begin(self, place: Place) -> None:
        """The prediction runs on, and nobody waits."""
        self._blobs.put(place.key("begun"), b"{}")

    def finish(self, place: Place, response: Response) -> None:
        """Its answer is here. Whole or absent: the head is written last."""
        self._blobs.put(place.key("answer"), response.body)
        headers = [[name.decode(), value.decode("latin-1")] for name, value in response.headers]
        head = {"status": response.status, "headers": headers}
        self._blobs.put(place.key("head"), json.dumps(head).encode())

    def look(self, place: Place) -> Seen:
        """How far it is. Raise NotFound for what nobody has begun, or what is too long ago."""
        begun = self._blobs.stat(place.key("begun"))
        if begun is None or self._is_old(begun.modified_at):
            raise unknown(place.id)
        if self._blobs.stat(place.key("head")) is not None:
            return self._done(place)
        is_lost = self._clock() - begun.modified_at > LOST_S
        return Seen("lost" if is_lost else "running")

    def sweep(self, tenant: str) -> None:
        """Delete what is too old to be asked for."""
        after = ""
        while True:
            page = self._blobs.list(prefix(tenant), after=after)
            for info in page.items:
                if self._is_old(info.modified_at):
                    self._blobs.delete(info.key)
            after = page.after
            if not after:
                return

    def _done(self, place: Place) -> Seen:
        with self._blobs.open(place.key("head")) as file:
            head = json.loads(file.read())
        headers = [(name.encode(), value.encode("latin-1")) for name, value in head["headers"]]
        response = Response(head["status"], headers)
        answer = place.key("answer")
        info = self._blobs.stat(answer)
        if info is not None and info.size_bytes > INLINE_BYTES:
            return Seen("done", response, self._blobs.presign("GET", answer).url)
        with self._blobs.open(answer) as file:
            response.body = file.read()
        return Seen("done", response)

    def _is_old(self, modified_at: float) -> bool:
        return self._clock() - modified_at > KEEP_S


def prefix(tenant: str) -> str:
    """What the keys of a tenant's kept predictions begin with."""
    return f"{tenant}/predictions/"


def unknown(text: str) -> NotFound:
    """What is said of a prediction that is not kept."""
    return NotFound(
        f"There is no prediction {text[:40]!r} of this stream.",
        why="Answers are kept for an hour.",
        hint="Send the request again.",
    )
