"""What does not fit a request, as sentences that name the field; pydantic's words stay inside."""

from __future__ import annotations

from typing import Any

from hookline.core.limits import WORDS

_PLACES = {"body": "", "query": "the parameter ", "path": "the path's ", "header": "the header "}
_KINDS = {
    "bool": "true or false",
    "dict": "an object",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "an object",
    "string": "a text",
    "tuple": "a list",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_SIZES = {
    "string_too_short": ("at least", "min_length", "character"),
    "string_too_long": ("at most", "max_length", "character"),
    "too_short": ("at least", "min_length", "entry"),
    "too_long": ("at most", "max_length", "entry"),
}


def sentence(fault: dict[str, Any]) -> str:
    """One fault that pydantic found, as in `replicas must be at most 32, not 99`."""
    field, kind, ctx = _field(fault["loc"]), fault["type"], fault.get("ctx", {})
    if kind == "value_error":
        said = str(ctx["error"])
        return f"{field}: {said}." if len(fault["loc"]) > 1 else f"{said}."
    if kind == "missing":
        return f"{field} is missing."
    if kind == "extra_forbidden":
        return f"{field} is not known here."
    return f"{field} must {_wanted(kind, ctx, fault)}."


def _wanted(kind: str, ctx: dict[str, Any], fault: dict[str, Any]) -> str:
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        return f"be {words} {ctx[name]:g}, not {fault['input']}"
    if kind in _SIZES:
        words, name, unit = _SIZES[kind]
        return f"have {words} {_counted(ctx[name], unit)}"
    if kind == "literal_error":
        return f"be {ctx['expected']}"
    if kind == "string_pattern_mismatch":
        return f"be {WORDS[ctx['pattern']]}"
    wanted = _KINDS.get(kind.partition("_")[0])
    return f"be {wanted}" if wanted else f"fit: {fault['msg']}"


def _field(loc: tuple[str | int, ...]) -> str:
    """`padding.buckets[0]`; the request's other parts are named, as `the parameter limit`."""
    place, *rest = loc
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)
    return f"{_PLACES.get(str(place), f'{place} ')}{path.removeprefix('.')}" or "the body"


def _counted(count: int, unit: str) -> str:
    many = f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"
    return f"{count} {unit if count == 1 else many}"
