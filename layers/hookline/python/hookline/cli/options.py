"""Options that several commands share, and what they become for the client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hookline.cli import padding
from hookline.cli.shell import details_option, output_options
from hookline.core import finite, limits
from hookline.core.formatting import ARGUMENTS

if TYPE_CHECKING:
    from hookline.client.deployment import Force, Scale, Serving, Shape

F = TypeVar("F", bound=Callable[..., Any])

WAIT_S = 300.0
LISTED_BY = {"job": "batch"}  # else the noun of an id lists itself


class RecordId(click.ParamType[int]):
    """The number of a model, stream, volume or job, as its parameter MODEL_ID and so on says."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if text.isascii() and text.isdigit() and int(text) > 0:
            return int(text)
        noun = (param.name if param and param.name else "").removesuffix("_id")
        script = ctx.find_root().info_name if ctx else "hookline"
        raise click.BadParameter(
            f"{text!r} is not an id, which is a number from 1 on. "
            f"`{script} {LISTED_BY.get(noun, noun)} list` shows them.",
            ctx,
            param,
        )


ID = RecordId()


def added(options: Sequence[Callable[[F], F]], function: F) -> F:
    """The command with these options, which its help lists in this order."""
    for option in reversed(options):
        function = option(function)
    return function


def with_output(function: F) -> F:
    """Add -o, -q and --query to a command that prints data."""
    parameters = function.__dict__.setdefault("__click_params__", [])
    parameters.extend(reversed(output_options()))
    return function


def with_list_output(function: F) -> F:
    """As `with_output`, and --details."""
    function.__dict__.setdefault("__click_params__", []).append(details_option())
    return with_output(function)


def with_wait(function: F) -> F:
    """Add --wait and --timeout."""
    late = click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0),
        default=WAIT_S,
        show_default=True,
        metavar="SECONDS",
        help="How long --wait may take; then the exit code is 9.",
    )
    wait = click.option("--wait", "is_waiting", is_flag=True, help="Return when it is decided.")
    return wait(late(function))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The volume or folder to calibrate on, and how often a variant must agree."""

    place: str | None
    min_agreement: float


def with_calibration(function: F) -> F:
    """Add --calibrate and --min-agreement; `calibration` reads them."""
    return added(_CALIBRATION, function)


def calibration(values: dict[str, Any]) -> Calibration:
    """Take what those options say out of `values`."""
    return Calibration(values.pop("calibrate"), values.pop("min_agreement") / 100)


def with_force(function: F) -> F:
    """Add --force; `forced` reads it."""
    option = click.option(
        "--force", is_flag=True, help="Also a model that differs too much from its original."
    )
    return option(function)


def forced(values: dict[str, Any]) -> Force:
    """Take what --force says out of `values`, nothing unless it was given."""
    return {"force": True} if values.pop("force") else {}


def with_serving(function: F) -> F:
    """Add the options that say how a model answers; `serving` reads them."""
    return added(_SERVING, function)


def with_scale(function: F) -> F:
    """Add the options that say how many replicas there are; `scale` reads them."""
    return added(_SCALE, function)


def with_notify(function: F) -> F:
    """Add --notify."""
    option = click.option(
        "--notify",
        default="",
        metavar="URL|TOPIC",
        help="Whom to tell that a job has ended: an https URL, signed with the secret of "
        "`hookline key webhook`; on AWS also the ARN of an SNS topic.",
    )
    return option(function)


def with_shape(function: F) -> F:
    """Add the options that say what the rows of a job are; `shape` reads them."""
    return added(_SHAPE, function)


def scale(values: dict[str, Any]) -> Scale:
    """Take what those options say out of `values`, without those that were not given."""
    found = {name: values.pop(name) for name in SCALE_NAMES}
    given = {name: value for name, value in found.items() if value is not None}
    if "replicas" in given and given.keys() & {"min_replicas", "max_replicas"}:
        raise click.UsageError("Give either --replicas, or --min and --max.")
    if given.get("min_replicas", 0) > given.get("max_replicas", limits.MAX_REPLICAS):
        raise click.UsageError("--min is at most --max.")
    return given  # type: ignore[return-value]  # the options are named after its fields


def shape(values: dict[str, Any]) -> Shape:
    """Take what --split and its like say out of `values`, without what was not given."""
    given = {name: values.pop(name) for name in _SHAPE_NAMES}
    if given["include"]:
        given["include"] = _columns(given["include"])
    if given["split"] != "lines" and (given["has_header"] or given["joins_input"]):
        raise click.UsageError("--header and --join-input are for --split lines.")
    return {name: value for name, value in given.items() if value}  # type: ignore[return-value]  # the options are named after its fields


def _columns(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in _COLUMNS:
            message = f"{name!r} is not a column. Give {' or '.join(_COLUMNS)}, or both."
            raise click.BadParameter(message, param_hint="--include")
    return names


def with_formatter(function: F) -> F:
    """Add --formatter, --formatter-args, --decoder and those of padding."""
    return added(_FORMATTER, function)


def serving(values: dict[str, Any]) -> Serving:
    """What the shared options say, without those that were not given."""
    given = {
        name: value
        for name, value in values.items()
        if value is not None and name not in padding.NAMES
    }
    given |= padding.padding(values)
    if "extra_files" in given:
        given["bundle"] = _bundle(given.pop("extra_files"))
    if "custom_code_commit" in given and "custom_code_url" not in given:
        raise click.UsageError("--custom-code-commit needs --custom-code-url.")
    return given  # type: ignore[return-value]  # the options are named after its fields


def json_object(
    _: click.Context, param: click.Parameter, text: str | None
) -> dict[str, Any] | None:
    """Parse an option's JSON object."""
    if text is None:
        return None
    try:
        value = finite.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not JSON: {error}.", param=param) from error
    if not isinstance(value, dict):
        raise click.BadParameter(
            f'{text!r} is not an object, as {{"num_preds": 3}} is.', param=param
        )
    return value


def _bundle(text: str) -> Path | int:
    """A path that exists wins over a volume's id."""
    path = Path(text)
    if path.exists():
        return path
    if text.isascii() and text.isdigit():
        return int(text)
    raise click.BadParameter(
        f"{text!r} is neither a file, a folder nor the id of a volume.", param_hint="-f"
    )


_CALIBRATION = (
    click.option(
        "--calibrate",
        metavar="VOLUME|FOLDER",
        help="Files like those it will be asked: int8 takes its ranges from them, and what is "
        "made is compared on them. On random numbers unless given.",
    ),
    click.option(
        "--min-agreement",
        type=click.FloatRange(0, 100),
        default=99.0,
        show_default=True,
        metavar="PERCENT",
        help="How often it is to answer as before.",
    ),
)
SCALE_NAMES = ("replicas", "min_replicas", "max_replicas", "target_in_flight")
_SCALE = (
    click.option(
        "--replicas",
        type=click.IntRange(1, limits.MAX_REPLICAS),
        metavar="N",
        help="Processes that answer, always.",
    ),
    click.option(
        "--min",
        "min_replicas",
        type=click.IntRange(0, limits.MAX_REPLICAS),
        metavar="N",
        help="The fewest of them; with 0 they all end after 5 minutes without a request.",
    ),
    click.option(
        "--max",
        "max_replicas",
        type=click.IntRange(1, limits.MAX_REPLICAS),
        metavar="N",
        help="The most of them; between both, as many as the load takes.",
    ),
    click.option(
        "--target-in-flight",
        type=click.IntRange(1, limits.MAX_IN_FLIGHT),
        metavar="N",
        help="Requests that each is to have in flight; 8 unless given.",
    ),
)
_COLUMNS = ("error", "timing")
_SHAPE_NAMES = ("split", "has_header", "output_format", "include", "joins_input")
_SHAPE = (
    click.option(
        "--split",
        type=click.Choice(("files", "lines")),
        help="lines: a row for each record of a .jsonl, .csv or .parquet file, named PATH#N.",
    ),
    click.option(
        "--header", "has_header", is_flag=True, help="The first record of a .csv is its header."
    ),
    click.option(
        "--output-format",
        type=click.Choice(("csv", "jsonl", "parquet")),
        help="csv unless given; parquet needs hookline[parquet].",
    ),
    click.option("--include", metavar="error,timing", help="Columns for every row."),
    click.option(
        "--join-input", "joins_input", is_flag=True, help="Also a column with the record itself."
    ),
)
_FORMATTER = (
    click.option("--formatter", type=click.Choice(tuple(ARGUMENTS)), help="How answers look."),
    click.option(
        "-a",
        "--formatter-args",
        callback=json_object,
        metavar="JSON",
        help="""The formatter's arguments, as '{"num_preds": 3, "label": true}'.""",
    ),
    click.option(
        "--decoder",
        type=click.Choice(("pillow", "simplejpeg", "exact")),
        help="What reads JPEGs; exact is pillow that never decodes them at a smaller scale.",
    ),
    *padding.OPTIONS,
)
_SERVING = (
    click.option(
        "-f",
        "--extra-files",
        metavar="FILE|ZIP|VOLUME_ID",
        help="Hooks: an inference.py, a zip or folder with one, or the id of a volume. "
        "A number that is also the name of a file means the file.",
    ),
    click.option(
        "--custom-code-url",
        metavar="URL",
        help="A git repository that the hooks import from, or with the hooks; https, public.",
    ),
    click.option(
        "--custom-code-commit",
        metavar="COMMIT",
        help="Its commit, branch or tag; else its default branch.",
    ),
    *_FORMATTER,
    click.option(
        "-g",
        "--gpus",
        "--cores",
        "gpus",
        type=click.IntRange(0, limits.MAX_CORES),
        metavar="N",
        help="GPUs for each replica; on inf1 and inf2 its NeuronCores, 0 for all of its machine.",
    ),
    click.option(
        "--device",
        type=click.Choice(("cpu", "gpu", "inf1", "inf2")),
        help="What it runs on; a compiled model knows.",
    ),
)
