"""The socket that a server listens on."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from hookline.core.errors import BadRequest, Unavailable
from hookline.runtime.spec import ServerSpec

_BACKLOG = 2048
_LONGEST_SOCKET_PATH = 107  # sun_path of unix(7), less its final NUL


@contextlib.contextmanager
def listening(spec: ServerSpec) -> Iterator[socket.socket]:
    """The socket that `spec` names, open for connections. Raise Unavailable if it is taken."""
    with bound(spec) as listener:
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        yield listener


def bound(spec: ServerSpec) -> socket.socket:
    """As `listening`, but not open yet: it keeps the place."""
    if spec.inherited >= 0:
        return socket.socket(fileno=os.dup(spec.inherited))
    try:
        return _unix(spec.unix_socket) if spec.unix_socket else _tcp(spec)
    except OSError as error:
        place = spec.unix_socket or f"{spec.host}:{spec.port}"
        raise Unavailable(
            f"Cannot listen on {place}.", why=str(error), hint="Choose a free port with --port."
        ) from error


def unlink(spec: ServerSpec) -> None:
    """Let no new caller find the socket."""
    if spec.unix_socket:
        Path(spec.unix_socket).unlink(missing_ok=True)


def url_of(listener: socket.socket) -> str:
    """Where callers find it."""
    address = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{address}"
    host = f"[{address[0]}]" if listener.family == socket.AF_INET6 else address[0]
    return f"http://{host}:{address[1]}"


def _unix(path: str) -> socket.socket:
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise BadRequest(
            f"The path of the socket is too long: {path}",
            why=f"Linux takes at most {_LONGEST_SOCKET_PATH} bytes.",
            hint="Use a shorter home folder.",
        )
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)  # only this user may connect
    try:
        listener.bind(path)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener


def _tcp(spec: ServerSpec) -> socket.socket:
    family = socket.AF_INET6 if ":" in spec.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if spec.is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((spec.host, spec.port))
    except OSError:
        listener.close()
        raise
    return listener
