"""Logging of the runtime processes: one JSON line per event on stderr, without secrets."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import logging
import os
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime

from hookline.core.secrets import redacted

request_id: ContextVar[str] = ContextVar("request_id", default="")

_STDERR = 2
_OUT_OF_REACH = 100  # a hook that closes every low descriptor must not redirect our lines
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@contextlib.contextmanager
def about(request: str) -> Iterator[None]:
    """What is logged in the block is about the request of that id."""
    token = request_id.set(request)
    try:
        yield
    finally:
        request_id.reset(token)


class JsonLines(logging.Formatter):
    """A record as one line of ASCII JSON: no text, however hostile, can forge a second line."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            "logger": record.name,
        }
        if request := request_id.get():
            event["request_id"] = request
        given = vars(record).items()
        event |= {name: value for name, value in given if name not in _OF_EVERY_RECORD}
        if record.exc_info:
            event["trace"] = self.formatException(record.exc_info)
        return redacted(json.dumps(event, default=str))


def configure(level: str) -> None:
    """Send every log record of this process to where stderr points now."""
    try:
        descriptor = fcntl.fcntl(_STDERR, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_REACH)
    except OSError:  # started without stderr
        descriptor = os.open(os.devnull, os.O_WRONLY)
    stream = io.TextIOWrapper(
        io.FileIO(descriptor, "w"), encoding="ascii", line_buffering=True, write_through=True
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(max(logging.getLevelName(level), logging.WARNING))
