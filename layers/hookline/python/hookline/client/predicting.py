"""A prediction, however large its body and its answer are, and however long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx2

from hookline.client.refusals import decoded
from hookline.client.views import Answer, Lent, SignedRequest
from hookline.client.wire import Wire
from hookline.core.errors import DeadlineExceeded, InvalidOutput

LARGE_BYTES = 10 * 1024 * 1024  # what API Gateway takes; a larger body goes by reference
PREFER = "respond-async, wait=20"
_PIECE_BYTES = 1024 * 1024
_FIRST_POLL_S, _LONGEST_POLL_S = 0.2, 2.0
_RUNNING, _ELSEWHERE = 202, 303
_OCTETS = "application/octet-stream"


def predict(
    wire: Wire,
    token: str,
    body: bytes,
    mime_type: str,
    *,
    timeout_s: float,
    sleep: Callable[[float], None],
) -> Answer:
    """Ask a stream. What takes longer than a request may is deferred and polled for."""
    deadline_s = time.monotonic() + timeout_s
    headers = {"Content-Type": mime_type, "Prefer": PREFER}
    if len(body) > LARGE_BYTES:
        headers["Body-Reference"], body = _lent(wire, token, body), b""
    response = wire.ask("POST", "/predict", token, body=body, headers=headers)
    location, pause_s = _place(response), _FIRST_POLL_S
    while response.status_code == _RUNNING:
        if time.monotonic() + pause_s > deadline_s:
            raise DeadlineExceeded(
                f"There was no answer within {timeout_s:g} s.", hint="Allow more time."
            )
        sleep(pause_s)
        pause_s = min(_LONGEST_POLL_S, 1.5 * pause_s)
        response = wire.ask("GET", location, token, is_repeatable=True)
    if response.status_code == _ELSEWHERE:
        return _fetched(wire, response)
    kind = response.headers.get("Content-Type", _OCTETS)
    return Answer(body=response.content, mime_type=kind)


def _lent(wire: Wire, token: str, body: bytes) -> str:
    """The reference of a body that has been uploaded."""
    size = b'{"size_bytes": %d}' % len(body)
    lent = decoded(wire.ask("POST", "/predict/uploads", token, body=size, is_repeatable=True), Lent)
    pieces = range(0, len(body), _PIECE_BYTES)
    wire.put(
        lent.request,
        lambda: (body[start : start + _PIECE_BYTES] for start in pieces),
        len(body),
    )
    return lent.reference


def _place(response: httpx2.Response) -> str:
    """Where to poll: below the endpoint, since the token goes along."""
    location = str(response.headers.get("Location", ""))
    if response.status_code == _RUNNING and not location.startswith("/"):
        raise InvalidOutput(f"The answer is said to come at {location[:100]!r}.")
    return location


def _fetched(wire: Wire, response: httpx2.Response) -> Answer:
    link = response.headers.get("Location", "")
    if not link:
        raise InvalidOutput("The answer is said to lie elsewhere, and not where.")
    body = b"".join(wire.fetch(SignedRequest(method="GET", url=link)))
    return Answer(body=body, mime_type=response.headers.get("X-Answer-Content-Type", _OCTETS))
