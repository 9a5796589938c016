"""Options that tell what a model file does not say of itself: labels and image preparation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from hookline.cli.options import added

F = TypeVar("F", bound=Callable[..., Any])
NAMES = ("mean", "std", "scale", "layout")


def with_model_options(function: F) -> F:
    """Add --labels, --mean, --std, --scale, --layout and --input-shape."""
    return added(_OPTIONS, function)


def preparation(values: dict[str, Any]) -> dict[str, Any]:
    """What the image options say, without those that were not given."""
    return {name: values[name] for name in NAMES if values.get(name) is not None}


def numbers(_: click.Context, param: click.Parameter, text: str | None) -> list[float] | None:
    """Parse numbers with commas between them."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        message = f"{text!r} is not a list of numbers, as 0.485,0.456,0.406 is."
        raise click.BadParameter(message, param=param) from error


def whole_numbers(ctx: click.Context, param: click.Parameter, text: str | None) -> list[int] | None:
    """Parse whole numbers with commas between them."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        message = f"{text!r} is not a list of whole numbers, as 1,3,224,224 is."
        raise click.BadParameter(message, ctx, param) from error


def shapes(
    ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[int, ...], ...]:
    """Parse lists of whole numbers, one for each time that the option was given."""
    return tuple(tuple(whole_numbers(ctx, param, text) or ()) for text in texts)


_OPTIONS = (
    click.option("--labels", metavar="FILE", help="Names of the classes: a JSON list, or lines."),
    click.option("--mean", callback=numbers, metavar="N,N,N", help="Taken off, for each channel."),
    click.option("--std", callback=numbers, metavar="N,N,N", help="Divided by, for each channel."),
    click.option("--scale", type=float, help="Multiplies pixels first, as 0.00392 for 1/255."),
    click.option("--layout", type=click.Choice(("NCHW", "NHWC")), help="Order of an image's axes."),
    click.option(
        "--input-shape",
        callback=whole_numbers,
        metavar="N,N,...",
        help="Fixes the variable dimensions of the first input.",
    ),
)
