"""application/json: a list is one example, nested or flat; an object is keyed by input name."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np

from hookline.core.errors import InvalidInput
from hookline.runtime.fitting import Array

_NO_NUMBERS = "NaN and Infinity are not JSON, and numbers must be finite."
_decode = msgspec.json.Decoder().decode


def preprocess(input: bytes, model: Any) -> Any:  # noqa: A002, ARG001 - the seed's signature
    """One example, or a dict of them by input name."""
    value = _decoded(input)
    if isinstance(value, dict):
        _refuse_duplicates(input, value)
        return {name: _array(member) for name, member in value.items()}
    return _array(value)


def _decoded(body: bytes) -> Any:
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInput(
            "The body is not valid JSON.", why=f"{error}.", hint=_NO_NUMBERS
        ) from error
    except RecursionError as error:
        raise InvalidInput("The JSON is nested too deeply.") from error


def _array(value: Any) -> Array:
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(
            "The JSON is not a rectangular array.", hint="All lists of a level are equally long."
        ) from error
    if array.dtype == object:
        raise InvalidInput(
            "The JSON holds something that is neither number nor text.",
            why="Null, objects and whole numbers over 64 bits have no place in a tensor.",
        )
    return array


def _refuse_duplicates(body: bytes, value: dict[str, Any]) -> None:
    """The decoder keeps the last of two equal keys, and so would answer another question.

    Each key has two quotes: when there are no others, none was dropped, and no second parse is
    needed.
    """
    if body.count(b'"') == 2 * len(value):
        return
    try:
        json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The JSON object cannot be read.", why=f"{error}.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidInput("The JSON object has the same key more than once.")
    return members
