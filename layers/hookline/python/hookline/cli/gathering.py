"""Options that say when the files that land become a job, and which of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from hookline.cli.options import F, added
from hookline.cli.wording import FILE_NAME, SUFFIX
from hookline.core import limits

if TYPE_CHECKING:
    from hookline.client.deployment import Gathering


def with_gathering(function: F) -> F:
    """Add the options; `gathering` reads them."""
    return added(_OPTIONS, function)


def gathering(values: dict[str, Any]) -> Gathering:
    """Take what they say out of `values`, without what was not given."""
    given = {name: values.pop(name) for name in _NAMES}
    _check(given)
    return {name: value for name, value in given.items() if value}  # type: ignore[return-value]  # the options are named after its fields


def _check(given: dict[str, Any]) -> None:
    settle_s, max_wait_s = given["settle_s"] or 0, given["max_wait_s"]
    if given["marker"] and given["manifest"]:
        raise click.UsageError("Give either --marker or --manifest.")
    if (given["marker"] or given["manifest"]) and (settle_s or max_wait_s):
        raise click.UsageError(
            "--settle and --max-wait are for jobs that no --marker or --manifest begins."
        )
    if max_wait_s and max_wait_s < settle_s:
        raise click.UsageError("--max-wait is at least --settle.")


def _suffixes(ctx: click.Context, param: click.Parameter, texts: Sequence[str]) -> list[str]:
    parts = [part.strip() for text in texts for part in text.split(",")]
    suffixes = [SUFFIX.convert(part, param, ctx) for part in parts if part]
    if texts and not suffixes:
        raise click.BadParameter("It names no suffix, as .jpg does.", ctx, param)
    if len(suffixes) > limits.MAX_SUFFIXES:
        raise click.BadParameter(
            f"There are {len(suffixes)}; {limits.MAX_SUFFIXES} at most.", ctx, param
        )
    return suffixes


_NAMES = ("settle_s", "max_wait_s", "max_files", "suffixes", "marker", "manifest")
_OPTIONS = (
    click.option(
        "--settle",
        "settle_s",
        type=click.IntRange(0, limits.MAX_SETTLE_S),
        metavar="SECONDS",
        help="A job begins once no file came for so long; 0, at once, unless given.",
    ),
    click.option(
        "--max-wait",
        "max_wait_s",
        type=click.IntRange(1, limits.MAX_WAIT_S),
        metavar="SECONDS",
        help="And at the latest so long after its first file; ten times --settle unless given.",
    ),
    click.option(
        "--max-files",
        type=click.IntRange(1, limits.MAX_BURST_FILES),
        metavar="N",
        help="Files of one job at most; 1000 unless given.",
    ),
    click.option(
        "--suffix",
        "suffixes",
        multiple=True,
        callback=_suffixes,
        metavar=".jpg,.png",
        help="Only files whose names end so, in upper or lower case.",
    ),
    click.option(
        "--marker",
        type=FILE_NAME,
        metavar="NAME",
        help="A job begins when a file of that name lands, as _SUCCESS: with the files beside and "
        "below it.",
    ),
    click.option(
        "--manifest",
        type=FILE_NAME,
        metavar="NAME",
        help="A job begins when a file of that name lands: with the files whose names are its "
        "lines.",
    ),
)
