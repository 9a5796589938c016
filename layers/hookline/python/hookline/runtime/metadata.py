"""Fill up what the importer said about preparing images from the model file's own words."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hookline.core.errors import ModelLoadFailed
from hookline.core.metadata import PREPARATION_KEYS, preparation_in
from hookline.runtime.spec import Preparation


def filled_up(given: Preparation, metadata: Mapping[str, str]) -> Preparation:
    """`given`, with what it leaves open taken from the model's metadata."""
    set_by_hand = {
        key: getattr(given, key)
        for key in PREPARATION_KEYS
        if getattr(given, key) != getattr(Preparation(), key)
    }
    try:
        return msgspec.convert(preparation_in(metadata) | set_by_hand, Preparation, strict=False)
    except msgspec.ValidationError as error:
        raise ModelLoadFailed(
            "The model's metadata on preparing images is malformed.",
            why=f"{error}.",
            hint="mean and std are lists of numbers, scale a number, layout NCHW or NHWC.",
        ) from error
