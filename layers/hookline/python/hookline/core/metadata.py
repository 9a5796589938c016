"""Read what a model file says about itself: its labels, and how its images are prepared."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

LABEL_KEYS = ("labels", "classes", "class_names", "names")
PREPARATION_KEYS = ("mean", "std", "scale", "layout")


def labels_in(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The labels stored as a list, as {index: label}, or as lines; none when there are none."""
    text = next((metadata[key] for key in LABEL_KEYS if key in metadata), "")
    value = _literal(text)
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value, key=_as_index)]
    if not isinstance(value, (list, tuple)):
        value = [line.strip() for line in text.replace(",", "\n").splitlines()]
    return tuple(str(label) for label in value if label != "")


def preparation_in(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The model's own mean, std, scale and layout, as far as it has them; not yet validated."""
    return {key: _literal(metadata[key]) for key in PREPARATION_KEYS if key in metadata}


def _literal(text: str) -> Any:
    """The value of `text` in JSON or as a Python literal, else the text itself."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text


def _as_index(key: Any) -> tuple[int, str]:
    return (int(key), "") if str(key).isdigit() else (1 << 62, str(key))
