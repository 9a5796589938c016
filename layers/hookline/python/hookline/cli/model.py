"""`hookline model`: import, export, list, show, delete, deploy, and what variants.py adds."""

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
    with_list_output,
    with_output,
    with_scale,
    with_serving,
    with_wait,
)
from hookline.cli.preparing import preparation, with_model_options
from hookline.cli.progress import progress
from hookline.cli.shell import Shell, pass_shell
from hookline.cli.variants import PRECISIONS, compile_, evaluate, optimize
from hookline.cli.wording import NAME

if TYPE_CHECKING:
    from hookline import Client
    from hookline.cli.modelfiles import ModelFiles
    from hookline.client.views import Model

DEPLOYED = ("id", "presigned_token", "status")
LISTED = ("id", "name", "format", "status", "size_bytes", "created_at")


@click.group("model", cls=Group)
def model_command() -> None:
    """Import, list and deploy models."""


model_command.add_command(optimize)
model_command.add_command(evaluate)
model_command.add_command(compile_)


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
@click.option("--name", type=NAME, required=True, help="What to call it.")
@with_model_options
@click.option(
    "--sample",
    "samples",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Try it on this file, and compare a conversion on it: an .npy, an .npz by the inputs' "
    "names, or a file as streams are sent. May be given often.",
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


@model_command.command("list", examples=("hookline model list", "hookline model list -o json"))
@with_list_output
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

    from hookline.cli.waiting import keeping, starting, wait_for_stream  # noqa: PLC0415 - as above

    wanted, force = scale(given), forced(given)
    with shell.client() as cloud:
        with starting():
            deployed = cloud.deploy(model_id, **wanted, **force, **serving(given))
        with keeping(deployed):
            if is_waiting:
                stream = wait_for_stream(cloud, deployed, timeout_s)
                deployed = msgspec.structs.replace(deployed, status=stream.status)
            shell.show(deployed, DEPLOYED)
