"""`hookline model`: import, export, optimize, evaluate, compile, list, show, delete, deploy."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookline.cli import exits
from hookline.cli.command import Group
from hookline.cli.options import (
    ID,
    calibration,
    forced,
    scale,
    serving,
    with_calibration,
    with_force,
    with_output,
    with_scale,
    with_serving,
    with_wait,
)
from hookline.cli.preparing import preparation, shapes, whole_numbers, with_model_options
from hookline.cli.progress import progress
from hookline.cli.shell import Shell, pass_shell

if TYPE_CHECKING:
    from hookline import Client
    from hookline.cli.modelfiles import ModelFiles
    from hookline.client.views import Model
    from hookline.core.models import Precision

DEPLOYED = ("id", "presigned_token", "status")
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
LISTED = ("id", "name", "format", "status", "size_bytes", "created_at")


@click.group("model", cls=Group)
def model_command() -> None:
    """Import, list and deploy models."""


@model_command.command(
    "import",
    examples=(
        "hookline model import digits.onnx --name digits",
        "hookline model import ./resnet --name resnet --labels imagenet.txt --scale 0.0039",
        "hookline model import net.pt --name net --input-shape 1,3,224,224 --sample x.npy",
        "hookline model import net.onnx --name net-int8 --precision int8 --calibrate ./images",
    ),
)
@click.argument("file_or_dir")
@click.option("--name", required=True, help="What to call it.")
@with_model_options
@click.option(
    "--sample",
    "samples",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare a conversion on this .npy or .npz file as well; may be given often.",
)
@click.option(
    "--precision",
    type=click.Choice(("fp32", *PRECISIONS)),
    default="fp32",
    show_default=True,
    help="What it is to compute in; fp32 leaves it as it is.",
)
@with_calibration
@with_output
@pass_shell
def import_(
    shell: Shell, /, file_or_dir: str, name: str, samples: tuple[Path, ...], **given: Any
) -> None:
    """Upload a model and make it ready to deploy.

    FILE_OR_DIR is a model, or a folder with one and perhaps labels.txt or labels.json. What it is
    is told by its content. What no replica runs is converted to ONNX first, on this machine, and
    compared with the original. With --precision it is made to compute in that, and compared too.
    """
    from hookline.cli.importing import ready_model, tell_difference  # noqa: PLC0415 - see below

    precision, how = given.pop("precision"), calibration(given)
    found = ready_model(shell.config, file_or_dir, given, samples=samples, is_checked=True)
    tell_difference(found)
    with ExitStack() as stack:
        cloud = stack.enter_context(shell.client())
        if precision != "fp32":
            from hookline.cli.assessing import in_precision  # noqa: PLC0415 - help needs none

            made = in_precision(shell.config, cloud, found, precision, how, preparation(given))
            found = stack.enter_context(made)
        model = _upload(cloud, found, name, given)
    shell.show(model, ("id", "name", "format", "status"))


def _upload(cloud: Client, found: ModelFiles, name: str, given: dict[str, Any]) -> Model:
    """Send a model file, telling how far it is, and make it a model."""
    from hookline.cli.importing import described  # noqa: PLC0415 - help needs none

    sent_bytes, total_bytes = 0, found.path.stat().st_size
    with progress(f"Uploading {found.path.name}", "bytes") as bar:

        def on_bytes(count: int) -> None:
            nonlocal sent_bytes
            sent_bytes += count
            bar.show(sent_bytes, total_bytes)

        return cloud.import_model(
            found.path,
            name,
            labels=found.labels,
            preparation=preparation(given),
            input_shape=given["input_shape"] or () if found.format == "onnx" else (),
            described=described(found),
            on_bytes=on_bytes,
        )


@model_command.command(
    "optimize",
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
    "--name", help="What to call it; the model's own name and the precision unless given."
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
    asks for, it is kept, and is deployed with --force alone.
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


@model_command.command(
    "export",
    examples=(
        "hookline model export pipeline.joblib --output pipeline.onnx",
        "hookline model export train:pipeline --output p.onnx --sample rows.csv",
    ),
)
@click.argument("file_or_name")
@click.option(
    "--output",
    "output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The ONNX file to write.",
)
@click.option(
    "--sample",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Rows of input: an .npy, or a .csv with a header for columns that differ.",
)
def export(file_or_name: str, output: Path, sample: Path | None) -> None:
    """Write an estimator of scikit-learn, XGBoost or LightGBM as ONNX.

    Type it where the model was trained, with hookline and skl2onnx installed beside it:
    FILE_OR_NAME is a pickle, a joblib file, a booster's own file, or module:name. A pickle runs
    code as it is opened, here and with your rights, so open only your own.
    """
    from hookline.client.files import replaced  # noqa: PLC0415 - help needs none
    from hookline.convert.estimators import export as exported  # noqa: PLC0415 - as above

    found = exported(file_or_name, sample)
    with replaced(output) as file:
        file.write(found.content)
    exits.say(
        f"Wrote {output} from {found.source}: the largest difference from the original is "
        f"{found.max_difference:.3g}, over {found.cases} rows."
    )


@model_command.command(
    "evaluate",
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
    is_table = shell.output == "table"
    shell.show({name: value for name, value in report.items() if not is_table or name in SUMMARY})


@model_command.command(
    "compile",
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
    type=click.IntRange(min=1),
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
@click.option("--name", help="What to call it; the model's own name and the target unless given.")
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
    """Make a model for Inferentia of a TorchScript or .pt2 model.

    It is compiled on this machine, which needs AWS's compiler and no device. The same model,
    shapes, options and compiler give the file that was made before.
    """
    from hookline.cli.compiling import compiled, tell_operators  # noqa: PLC0415 - help needs none

    with shell.client() as cloud:
        model = compiled(shell.config, cloud, model_id, given, name=name or "", home=sdk)
    tell_operators(model)
    shell.show(model, ("id", "name", "format", "status"))


@model_command.command("list", examples=("hookline model list", "hookline model list -o json"))
@with_output
@pass_shell
def list_(shell: Shell, /) -> None:
    """List the models."""
    with shell.client() as cloud:
        shell.show_all(cloud.models(), LISTED)


@model_command.command("show", examples=("hookline model show 2", "hookline model show 2 -o json"))
@click.argument("model_id", type=ID)
@with_output
@pass_shell
def show(shell: Shell, /, model_id: int) -> None:
    """Show a model: its inputs, outputs and labels."""
    with shell.client() as cloud:
        shell.show(cloud.model(model_id))


@model_command.command(
    "delete", examples=("hookline model delete 2", "hookline model delete 2 --profile staging")
)
@click.argument("model_id", type=ID)
@pass_shell
def delete(shell: Shell, /, model_id: int) -> None:
    """Delete a model that no stream, unfinished job or trigger uses."""
    with shell.client() as cloud:
        cloud.delete_model(model_id)
    exits.say(f"Deleted model {model_id}.")


@model_command.command(
    "deploy",
    examples=(
        "hookline model deploy 2 --wait",
        """hookline model deploy 2 -f hooks.zip --formatter classification -a '{"num_preds": 3}'""",
        "hookline model deploy 2 --min 0 --max 4",
    ),
)
@click.argument("model_id", type=ID)
@with_serving
@with_scale
@with_force
@with_wait
@with_output
@pass_shell
def deploy(
    shell: Shell,
    /,
    model_id: int,
    *,
    is_waiting: bool,
    timeout_s: float,
    **given: Any,
) -> None:
    """Start a stream of a model and print its presigned token.

    The token is shown once: it is what `stream predict` and HTTP callers send.
    """
    import msgspec  # noqa: PLC0415 - help needs none

    from hookline.cli.waiting import wait_for_stream  # noqa: PLC0415 - help needs none

    wanted, force = scale(given), forced(given)
    with shell.client() as cloud:
        deployed = cloud.deploy(model_id, **wanted, **force, **serving(given))
        if not is_waiting:
            shell.show(deployed, DEPLOYED)
            return
        stream = wait_for_stream(cloud, deployed, timeout_s)
    shell.show(msgspec.structs.replace(deployed, status=stream.status), DEPLOYED)
