"""Turn whatever a hook or a formatter has into the bytes of an answer.

Numbers are written as briefly as they read back: 0.1 in float32 is 0.1. Numbers that are not
finite are NaN, Infinity and -Infinity everywhere: as strings in JSON, which has no such numbers
and must stay valid, as bare words in csv and tsv.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from hookline.core.errors import InvalidOutput
from hookline.runtime.items import Answer

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_HINT = "Return a str, bytes, a number, a list, a dict or a numpy array."

_TEXT_KINDS = "UO"

Array = np.ndarray[Any, Any]


def answer_from(value: Any) -> Answer:
    """The answer a postprocess hook means. Raise InvalidOutput for what cannot be sent."""
    if isinstance(value, Answer):
        return value
    if isinstance(value, str):
        return Answer(encoded(value), TEXT)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Answer(bytes(value), BYTES)
    if value is None:
        raise InvalidOutput("The answer is None.", why="Was a return forgotten?", hint=_HINT)
    return Answer(encoded(json_text(value)), JSON)


def encoded(text: str) -> bytes:
    """`text` as UTF-8. Raise InvalidOutput for half of a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidOutput(
            "The answer holds text that is not Unicode.", why=f"{error}."
        ) from error


def json_text(value: Any) -> str:
    """`value` as JSON, numpy values included."""
    try:
        return _dumps(value)
    except TypeError as error:
        raise InvalidOutput(
            f"The answer, a {type(value).__name__}, cannot be sent.", why=f"{error}.", hint=_HINT
        ) from error
    except ValueError:  # a number that is not finite, or a value that contains itself
        pass
    except RecursionError as error:
        raise _endless(value) from error
    try:
        return _dumps(_finite(value))
    except RecursionError as error:
        raise _endless(value) from error


def array_json(array: Array) -> str:
    """`array` as nested JSON lists, a scalar array as one number."""
    if array.ndim > 1:
        return f"[{', '.join(array_json(row) for row in array)}]"
    if array.dtype.kind == "f" and array.ndim:
        # str of a numpy float is its shortest form in its own precision.
        text = ", ".join(map(str, array))
        if "n" not in text:  # all of them are finite
            return f"[{text}]"
    texts = cells(array)
    if array.dtype.kind in _TEXT_KINDS:
        texts = [json.dumps(text, ensure_ascii=False) for text in texts]
    elif _has_words(texts):
        texts = [f'"{text}"' if text in _WORDS.values() else text for text in texts]
    return f"[{', '.join(texts)}]" if array.ndim else texts[0]


def cells(array: Array) -> list[str]:
    """The elements of `array`, flat, as text. Raise InvalidOutput for what is not a value."""
    kind = array.dtype.kind
    if kind == "f":
        # str of a numpy float is its shortest form in its own precision.
        texts = [str(value) for value in array.ravel()]
        return [_WORDS.get(text, text) for text in texts] if _has_words(texts) else texts
    if kind == "b":
        return ["true" if value else "false" for value in array.flat]
    if kind in "iu":
        return [str(value) for value in array.ravel().tolist()]
    if kind == "U" or (kind == "O" and all(isinstance(value, str) for value in array.flat)):
        return [str(value) for value in array.ravel().tolist()]
    raise InvalidOutput(
        f"The output holds {array.dtype} values, which have no text form.",
        hint="Return numbers, booleans or strings.",
    )


def _has_words(numbers: list[str]) -> bool:
    """Whether any of these is not finite: in numpy's words or ours, a finite one has no n."""
    return "n" in "".join(numbers).lower()


def _plain(value: Any) -> Any:
    """A numpy value in Python's own types; json asks for it where it meets one."""
    if isinstance(value, (np.ndarray, np.generic)):
        return json.loads(array_json(np.asarray(value)))
    raise TypeError(f"{type(value).__name__} has no JSON form")


_dumps = json.JSONEncoder(default=_plain, allow_nan=False, ensure_ascii=False).encode


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        text = str(float(value))
        return _WORDS.get(text, value)
    if isinstance(value, dict):
        return {key: _finite(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(member) for member in value]
    return value


def _endless(value: Any) -> InvalidOutput:
    return InvalidOutput(
        f"The answer, a {type(value).__name__}, nests too deeply or contains itself.", hint=_HINT
    )
