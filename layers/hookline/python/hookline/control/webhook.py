"""Posts a message to a URL that a stranger may have chosen.

The host is resolved once, every address of it is judged, and the connection is made to the one that
was judged: a name that answers differently the next time leads nowhere. Redirects are answers like
others, nothing of the answer but its status is read, and all of it ends after a few seconds.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from hookline.core.errors import Unavailable
from hookline.core.targets import Targets, Url, check_all

TIMEOUT_S = 10.0

Resolve = Callable[[str, int], Sequence[str]]


def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a host. Raise OSError when it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def post(
    targets: Targets,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    resolve: Resolve = resolved,
    context: ssl.SSLContext | None = None,
    timeout_s: float = TIMEOUT_S,
) -> int:
    """The status that was answered.

    Raise InvalidInput for a URL or an address that is not allowed, Unavailable without an answer.
    """
    url = targets.url(target)
    try:
        addresses = [url.host] if url.address else resolve(url.host, url.port)
        address = check_all(targets, url, addresses)
        with socket.create_connection((address, url.port), timeout=timeout_s) as plain:
            return _answered(url, plain, headers, body, context, timeout_s)
    except (OSError, HTTPException) as error:
        raise Unavailable(
            f"{url.host} did not answer.", why=f"{type(error).__name__}: {error}."
        ) from error


def _answered(
    url: Url,
    plain: socket.socket,
    headers: Mapping[str, str],
    body: bytes,
    context: ssl.SSLContext | None,
    timeout_s: float,
) -> int:
    if url.scheme == "http":
        with _ending(plain, timeout_s):
            return _asked(HTTPConnection(url.host, url.port), plain, url, headers, body)
    trusted = context or ssl.create_default_context()
    opened = trusted.wrap_socket(plain, server_hostname=url.host, do_handshake_on_connect=False)
    with opened as safe, _ending(safe, timeout_s):
        safe.do_handshake()
        return _asked(HTTPSConnection(url.host, url.port), safe, url, headers, body)


@contextmanager
def _ending(opened: socket.socket, timeout_s: float) -> Iterator[None]:
    """The timeout of a socket begins anew with each byte; this one does not."""

    def shut() -> None:
        with suppress(OSError):  # it has just ended by itself
            socket.socket.shutdown(opened, socket.SHUT_RDWR)

    end = threading.Timer(timeout_s, shut)
    end.daemon = True
    end.start()
    try:
        yield
    finally:
        end.cancel()


def _asked(
    connection: HTTPConnection,
    opened: socket.socket,
    url: Url,
    headers: Mapping[str, str],
    body: bytes,
) -> int:
    connection.sock = opened
    try:
        connection.request("POST", url.path, body, {**headers, "Connection": "close"})
        return connection.getresponse().status
    finally:
        connection.close()
