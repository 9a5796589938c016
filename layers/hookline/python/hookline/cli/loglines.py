"""Which lines of a stream's log are asked for: since when, how grave, of which request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from hookline.cli.options import added

F = TypeVar("F", bound=Callable[..., Any])

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_AGE = re.compile(r"([0-9]{1,6})([smhd])")


class Moment(click.ParamType[datetime]):
    """`10m`, or a time in RFC 3339; without a zone it is the local one."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if age := _AGE.fullmatch(value):
                return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither an age, as 10m, nor a time, as {_now()}.", param, ctx)


def with_lines(function: F) -> F:
    """Add --since, --level and --request-id."""
    return added(_OPTIONS, function)


@dataclass(slots=True)
class Lines:
    """The lines that are wanted. What a hook prints has the time of the line before it.

    It has no level and no request, so it is left out where one is asked for.
    """

    since: datetime | None = None
    level: str | None = None
    request_id: str | None = None
    _at: str = ""

    def has(self, line: str) -> bool:
        """Whether the next line of the log is one of them."""
        event = _event(line)
        self._at = str(event.get("time", self._at))
        if self.since and _moment(self._at) < self.since:
            return False
        if self.level and _rank(event.get("level")) < LEVELS.index(self.level):
            return False
        return not self.request_id or event.get("request_id") == self.request_id


def _event(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line) if line.startswith("{") else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)


def _rank(level: object) -> int:
    name = "ERROR" if level == "CRITICAL" else level
    return LEVELS.index(name) if isinstance(name, str) and name in LEVELS else -1


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_OPTIONS = (
    click.option(
        "--since",
        type=Moment(),
        metavar="AGE|TIME",
        help="Only what was logged since then: 10m, 2h, 1d, or a time in RFC 3339.",
    ),
    click.option(
        "--level",
        type=click.Choice(LEVELS, case_sensitive=False),
        help="Only what is as grave or graver; prints of hooks have no level.",
    ),
    click.option(
        "--request-id", metavar="ID", help="Only what was logged of this request; prints have none."
    ),
)
