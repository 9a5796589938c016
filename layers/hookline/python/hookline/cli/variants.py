"""`hookline model optimize, evaluate, compile`: models made of models, and how good they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookline.cli.command import Command
from hookline.cli.options import ID, calibration, with_calibration, with_output
from hookline.cli.preparing import shapes, whole_numbers
from hookline.cli.shell import Shell, pass_shell
from hookline.cli.wording import NAME
from hookline.core import limits

if TYPE_CHECKING:
    from hookline.core.models import Precision

PRECISIONS = ("fp16", "bf16", "int8", "int4", "mixed")
SUMMARY = (
    "task",
    "examples",
    "top_1",
    "top_k",
    "top_k_accuracy",
    "calibration_error",
    "mae",
    "rmse",
    "r2",
    "latency_p50_ms",
    "latency_p99_ms",
    "throughput_per_s",
)


@click.command(
    "optimize",
    cls=Command,
    examples=(
        "hookline model optimize 2 --precision fp16",
        "hookline model optimize 2 --precision int8 --calibrate 56",
        "hookline model optimize 2 --precision int8 --calibrate ./images --labels truth.csv",
    ),
)
@click.argument("model_id", type=ID)
@click.option(
    "--precision", type=click.Choice(PRECISIONS), required=True, help="What it is to compute in."
)
@with_calibration
@click.option(
    "--labels",
    "truth_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A CSV of the files' names and classes: accuracies are compared as well.",
)
@click.option(
    "--name",
    type=NAME,
    help="What to call it; the model's own name and the precision unless given.",
)
@with_output
@pass_shell
def optimize(
    shell: Shell,
    /,
    model_id: int,
    precision: Precision,
    truth_file: Path | None,
    name: str | None,
    **given: Any,
) -> None:
    """Make a model in another precision of a model, and compare both.

    The new model knows what it was made of. If it answers like it less often than --min-agreement
    asks for, it is kept, and is used with --force alone.
    """
    from hookline.cli.assessing import material, optimized, tell_accuracy  # noqa: PLC0415 - as above

    how = calibration(given)
    if truth_file and not how.place:
        raise click.UsageError("--labels needs --calibrate, whose files it describes.")
    with shell.client() as cloud, material(cloud, how.place, truth_file) as found:
        model = optimized(
            shell.config,
            cloud,
            cloud.model(model_id),
            precision,
            found=found,
            name=name or "",
            min_agreement=how.min_agreement,
        )
    tell_accuracy(model.variant or {})
    shell.show(model, ("id", "name", "format", "status"))


@click.command(
    "evaluate",
    cls=Command,
    examples=(
        "hookline model evaluate 2 56 --labels truth.csv",
        "hookline model evaluate 2 ./images --labels truth.csv --save report -o json",
    ),
)
@click.argument("model_id", type=ID)
@click.argument("volume_or_folder")
@click.option(
    "--labels",
    "truth_file",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A CSV of the files' names and classes, or values.",
)
@click.option(
    "--task",
    type=click.Choice(("auto", "classification", "regression")),
    default="auto",
    show_default=True,
    help="What the answers are; auto looks at the model and the labels.",
)
@click.option("--top-k", type=click.IntRange(min=1), default=5, show_default=True, metavar="K")
@click.option(
    "--save",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the whole report, and the confusion matrix as JSON and as a picture, there.",
)
@with_output
@pass_shell
def evaluate(
    shell: Shell,
    /,
    model_id: int,
    volume_or_folder: str,
    truth_file: Path,
    folder: Path | None,
    **how: Any,
) -> None:
    """Ask a model files whose answers are known, and report how good and how fast it is.

    Times are of this machine, with one thread and without the network.
    """
    from hookline.cli.assessing import (  # noqa: PLC0415 - help needs none
        evaluated,
        material,
        save_evaluation,
        tell_skipped,
    )

    with shell.client() as cloud, material(cloud, volume_or_folder, truth_file) as found:
        done = evaluated(shell.config, cloud, model_id, found, **how)
    if folder:
        save_evaluation(done, folder)
    report = done.report
    tell_skipped(report)
    is_short = shell.output == "table" and not shell.query
    shell.show({name: value for name, value in report.items() if not is_short or name in SUMMARY})


@click.command(
    "compile",
    cls=Command,
    examples=(
        "hookline model compile 2 --target inf2 --batch 1,8",
        "hookline model compile 2 --target inf1 --cores 4 --pipeline --precision fp16",
        "hookline model compile 2 --target inf2 --shape 128 --shape 512 --dynamic-batch",
    ),
)
@click.argument("model_id", type=ID)
@click.option(
    "--target", type=click.Choice(("inf1", "inf2")), required=True, help="What it is to run on."
)
@click.option(
    "--cores",
    type=click.IntRange(1, limits.MAX_CORES),
    default=1,
    show_default=True,
    metavar="N",
    help="NeuronCores in a row for each process, with the model on each.",
)
@click.option(
    "--pipeline", "is_pipeline", is_flag=True, help="The model once, over all of the cores; inf1."
)
@click.option(
    "--batch",
    "batches",
    callback=whole_numbers,
    default="1",
    show_default=True,
    metavar="N,N,...",
    help="How many examples one run takes, once compiled for each.",
)
@click.option(
    "--dynamic-batch", "is_dynamic", is_flag=True, help="Any number of examples in one run."
)
@click.option(
    "--precision",
    type=click.Choice(("fp32", "mixed", "bf16", "fp16", "int8", "int4")),
    default="mixed",
    show_default=True,
    help="What it computes in; mixed is what the compiler prefers.",
)
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    callback=shapes,
    metavar="N,N,...",
    help="Of one example, where the model leaves it open; once for each size that is sent.",
)
@click.option(
    "--name", type=NAME, help="What to call it; the model's own name and the target unless given."
)
@click.option(
    "--compiler",
    "sdk",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A virtual environment with AWS's SDK; /opt/neuron unless given.",
)
@with_output
@pass_shell
def compile_(
    shell: Shell, /, model_id: int, name: str | None, sdk: Path | None, **given: Any
) -> None:
    """Make a model for Inferentia of a TorchScript, .pt2 or ONNX model.

    It is compiled on this machine, which needs AWS's compiler and no device. The same model,
    shapes, options and compiler give the file that was made before.
    """
    from hookline.cli.compiling import compiled, tell_operators  # noqa: PLC0415 - help needs none

    with shell.client() as cloud:
        model = compiled(shell.config, cloud, model_id, given, name=name or "", home=sdk)
    tell_operators(model)
    shell.show(model, ("id", "name", "format", "status"))
