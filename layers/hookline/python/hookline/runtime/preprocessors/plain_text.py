"""text/plain: the whole text is the one string of a model that takes strings."""

from __future__ import annotations

from typing import Any

import numpy as np

from hookline.core.errors import InvalidInput, UnsupportedMediaType
from hookline.runtime.fitting import Array


def preprocess(input: bytes, model: Any) -> Array:  # noqa: A002 - the seed's name
    """The text as the model's first input."""
    slot = model.first
    if slot.dtype != object:
        raise UnsupportedMediaType(
            "The model takes no text.",
            why=f"Its input {slot.name} is {slot.dtype}.",
            hint="Send the MIME type of what the model takes, or write a preprocess hook.",
        )
    try:
        text = input.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("The text is not UTF-8.", why=f"{error}.") from error
    return np.full([1 if size < 0 else size for size in slot.shape], text, object)
