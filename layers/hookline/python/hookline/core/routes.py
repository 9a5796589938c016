"""Which operation a request asks for, found as API Gateway does: by method and path template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from hookline.core.errors import NotFound
from hookline.core.topology import FALLBACK, FALLBACK_FUNCTION, FUNCTIONS, Function, Route

_PARAMETER = re.compile(r"\\{(\w+)\\}")
_GREEDY = FALLBACK.path.partition("{")[0]


@dataclass(frozen=True, slots=True)
class Match:
    """The route a request takes, and the parameters in its path."""

    function: str
    route: Route
    parameters: dict[str, str]


class Routes:
    """The operations of `functions`, and the one that answers for what there is not."""

    def __init__(self, functions: Sequence[Function] = FUNCTIONS) -> None:
        self._patterns = [
            (_pattern(route.path), route, function.name)
            for function in functions
            for route in function.routes
        ]

    def match(self, method: str, raw_path: str) -> Match:
        """Raise NotFound outside of the paths that the fallback answers for."""
        for pattern, route, function in self._patterns:
            found = pattern.fullmatch(raw_path)
            if found and route.method == method:
                parameters = {name: unquote(value) for name, value in found.groupdict().items()}
                return Match(function, route, parameters)
        rest = raw_path.removeprefix(_GREEDY)
        if rest not in ("", raw_path):
            return Match(FALLBACK_FUNCTION, FALLBACK, {"proxy": unquote(rest)})
        raise no_operation(method, raw_path)

    def methods(self, raw_path: str) -> tuple[str, ...]:
        """The methods that a path answers, none for one that there is not."""
        return tuple(
            route.method for pattern, route, _ in self._patterns if pattern.fullmatch(raw_path)
        )


def no_operation(method: str, path: str) -> NotFound:
    """What a path that there is not answers."""
    return NotFound(
        f"There is no operation {method} {path}.", hint="GET /openapi.json lists every operation."
    )


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", re.escape(path)))
