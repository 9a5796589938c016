"""Reads JSON whose numbers are numbers: neither NaN nor beyond what a float holds."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, NoReturn


def loads(text: str) -> Any:
    """Raise ValueError for what is no JSON, and for a number that is not finite."""
    return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)


def not_finite(value: object, place: str = "") -> str:
    """Where in `value` a number is not finite, as `formatter_args.num_preds`; empty if none is."""
    if isinstance(value, float):
        return "" if isfinite(value) else place
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)  # type: ignore[assignment]  # pairs like those of a dict
    else:
        return ""
    found = (not_finite(part, f"{place}.{name}".lstrip(".")) for name, part in parts)
    return next(filter(None, found), "")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is beyond every number that can be computed with")
    return value
