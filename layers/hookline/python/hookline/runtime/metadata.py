"""Read what a model file says about itself: its labels, and how its images are prepared."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import msgspec

from hookline.core.errors import ModelLoadFailed
from hookline.runtime.spec import Preparation

_LABEL_KEYS = ("labels", "classes", "class_names", "names")
_PREPARATION_KEYS = ("mean", "std", "scale", "layout")


def labels_in(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The labels stored as a list, as {index: label}, or as lines; none when there are none."""
    text = next((metadata[key] for key in _LABEL_KEYS if key in metadata), "")
    value = _literal(text)
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value, key=_as_index)]
    if not isinstance(value, (list, tuple)):
        value = [line.strip() for line in text.replace(",", "\n").splitlines()]
    return tuple(str(label) for label in value if label != "")


def preparation_in(metadata: Mapping[str, str], given: Preparation) -> Preparation:
    """`given`, filled up from the model's own mean, std, scale and layout."""
    found = {key: _literal(metadata[key]) for key in _PREPARATION_KEYS if key in metadata}
    set_by_hand = {
        key: getattr(given, key)
        for key in _PREPARATION_KEYS
        if getattr(given, key) != getattr(Preparation(), key)
    }
    try:
        return msgspec.convert(found | set_by_hand, Preparation, strict=False)
    except msgspec.ValidationError as error:
        raise ModelLoadFailed(
            "The model's metadata on preparing images is malformed.",
            why=f"{error}.",
            hint="mean and std are lists of numbers, scale a number, layout NCHW or NHWC.",
        ) from error


def _literal(text: str) -> Any:
    """The value of `text` in JSON or as a Python literal, else the text itself."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _as_index(key: Any) -> tuple[int, str]:
    return (int(key), "") if str(key).isdigit() else (1 << 62, str(key))
