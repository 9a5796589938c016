"""Options that pad inputs of different lengths to a few sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from hookline.core import limits

NAMES = ("buckets", "pad_axis", "pad")


def padding(values: dict[str, Any]) -> dict[str, Any]:
    """What the options say: `padding`, which is None for --buckets none; nothing without them."""
    buckets, axis, pad = (values.get(name) for name in NAMES)
    if not buckets and (axis or pad):
        raise click.UsageError("--pad-axis and --pad need --buckets.")
    if buckets is None:
        return {}
    named = {"axis": axis, "values": pad}
    told = {name: value for name, value in named.items() if value}
    return {"padding": {"buckets": buckets, **told} if buckets else None}


def _sizes(ctx: click.Context, param: click.Parameter, text: str | None) -> list[int] | None:
    if text is None:
        return None
    if text == "none":
        return []
    sizes = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if sizes != sorted(set(sizes)) or not sizes[0]:
        raise click.BadParameter(f"{text!r} are not ascending sizes, as 16,32,64 are.", ctx, param)
    if len(sizes) > limits.MAX_BUCKETS or sizes[-1] > limits.MAX_BUCKET:
        raise click.BadParameter(
            f"There are {limits.MAX_BUCKETS} at most, of {limits.MAX_BUCKET:,} at most.", ctx, param
        )
    return sizes


def _values(ctx: click.Context, param: click.Parameter, texts: Sequence[str]) -> dict[str, float]:
    found = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            name = ""
        if not name:
            message = f"{text!r} is not an input and a number, as tokens=1 is."
            raise click.BadParameter(message, ctx, param)
    return found


OPTIONS = (
    click.option(
        "--buckets",
        callback=_sizes,
        metavar="N,N,...|none",
        help="Pad inputs of variable size up to the next of these, so that they share batches.",
    ),
    click.option(
        "--pad-axis",
        metavar="NAME|N",
        help="The axis that is padded, by its name in the model's file or its number from 0, the "
        "batch; needed where several are variable.",
    ),
    click.option(
        "--pad",
        multiple=True,
        callback=_values,
        metavar="INPUT=VALUE",
        help="What an input is padded with; 0 unless given, as a mask needs.",
    ),
)
