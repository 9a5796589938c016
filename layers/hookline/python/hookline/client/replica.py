"""A replica on this machine, asked without the gateway: for callers who count microseconds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Self

import httpx2

from hookline.client.refusals import refusal
from hookline.client.views import Answer
from hookline.core.errors import DeadlineExceeded, Unavailable

UNIX = "unix:"
_PLACE = "http://replica/predict"  # the name is not looked up: the socket is the place


class Replica:
    """One replica of a stream, as `Client.replica` finds it. Its socket's mode is what guards it.

    A request is sent once and never again. Share one between threads.
    """

    def __init__(self, address: str, *, timeout_s: float = 60.0) -> None:
        self.address = address
        transport = httpx2.HTTPTransport(uds=address.removeprefix(UNIX))
        self._http = httpx2.Client(transport=transport, trust_env=False, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(self, body: bytes, mime_type: str) -> Answer:
        """Ask for one answer. Raise Unavailable once the replica is gone: look for another."""
        if not is_here(self.address):  # the library forgets to close what could not connect
            raise _gone(self.address, "The socket is gone")
        try:
            response = self._http.post(_PLACE, content=body, headers={"Content-Type": mime_type})
        except httpx2.TimeoutException as error:
            raise DeadlineExceeded(
                f"The replica at {self.address} did not answer in time.", hint="Allow more time."
            ) from error
        except httpx2.TransportError as error:
            raise _gone(self.address, str(error)) from error
        if not response.is_success:
            raise refusal(response).error
        kind = response.headers.get("Content-Type", "application/octet-stream")
        return Answer(body=response.content, mime_type=kind)


def is_here(address: str) -> bool:
    """Whether it is a socket on this machine that this user may connect to."""
    return address.startswith(UNIX) and os.access(address.removeprefix(UNIX), os.W_OK)


def here(stream_id: int, addresses: Sequence[str]) -> str:
    """The first of `addresses` that is a socket on this machine. Raise Unavailable for none."""
    for address in addresses:
        if is_here(address):
            return address
    raise Unavailable(
        f"Stream {stream_id} has no replica that can be asked straight.",
        why="None runs on this machine whose socket you may connect to.",
        hint="Ask the stream by its token.",
    )


def _gone(address: str, why: str) -> Unavailable:
    return Unavailable(
        f"Nothing answers at {address}.",
        why=f"{why}.",
        hint="Replicas come and go: look at the stream for another.",
    )
