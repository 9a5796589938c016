"""Keeps variants that answer too differently from their original from being used unawares."""

from __future__ import annotations

from hookline.core.errors import Conflict
from hookline.core.models import Model


def refuse_inaccurate(model: Model, *, is_forced: bool) -> None:
    """Raise Conflict for a model below its bound, unless `is_forced`."""
    if is_forced or model.is_accurate or model.variant is None:
        return
    found = model.variant.accuracy
    raise Conflict(
        f"Model {model.id} in {model.variant.precision} answers like its original on "
        f"{_percent(found.agreement)} of {found.examples} examples.",
        why=f"{_percent(found.min_agreement)} were asked for when it was made.",
        hint="Make it again with more files to calibrate on or in another precision, or use it all "
        "the same with --force.",
    )


def _percent(share: float) -> str:
    """Never rounded up: 99.97 % is not 100 %."""
    return f"{int(share * 1000) / 10:g} %"
