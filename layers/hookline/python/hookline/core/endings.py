"""How a process tells whoever watches it why it could not start.

It writes one line of JSON to its log, with `event`, `code`, `why` and `trace`, and ends with the
status EXIT_START_FAILED; or with EXIT_TRY_AGAIN, when nothing is wrong with what was to start.
"""

from __future__ import annotations

import json

from hookline.core.errors import HooklineError
from hookline.core.ports import Failure

EXIT_START_FAILED = 3
EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
REPLICA_FAILED = "replica_failed"

_MAX_LINE_CHARS = 64 * 1024  # a failure is stored in a record, which has its limits


def told(error: HooklineError) -> dict[str, str]:
    """The members of the line."""
    return {"code": error.code, "why": str(error), "trace": error.trace}


def read(lines: str) -> Failure | None:
    """The failure that the last such line tells of; None when there is none.

    User code may print into the same log, so a line may be anything.
    """
    for line in reversed(lines.splitlines()):
        if (failure := _read(line)) is not None:
            return failure
    return None


def _read(line: str) -> Failure | None:
    if REPLICA_FAILED not in line or len(line) > _MAX_LINE_CHARS:
        return None
    try:
        event = json.loads(line)
        if event["event"] != REPLICA_FAILED:
            return None
        return Failure(*(_text(event[name]) for name in ("code", "why", "trace")))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _text(value: object) -> str:
    """JSON may spell halves of characters, which nothing can store."""
    return str(value).encode("utf-8", "replace").decode()
