"""`hookline check`: a dry run of hooks before they are deployed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookline.cli import exits
from hookline.cli.command import Command
from hookline.cli.options import with_formatter
from hookline.cli.preparing import with_model_options
from hookline.cli.shell import Shell, pass_shell
from hookline.core.archives import HOOK_FILE
from hookline.core.errors import HooklineError

if TYPE_CHECKING:
    from hookline.runtime.spec import LaunchSpec


@click.command(
    "check",
    cls=Command,
    examples=(
        "hookline check ./hooks",
        "hookline check hooks.zip --model digits.onnx --file 7.png",
    ),
)
@click.argument("dir_or_zip")
@click.option("--model", metavar="DIR_OR_MODEL", help="Load it with the hooks and warm it up.")
@click.option("--file", metavar="FILE", help="Predict this file as well; needs a model.")
@with_formatter
@with_model_options
@pass_shell
def check_command(
    shell: Shell, /, dir_or_zip: str, model: str | None, file: str | None, **given: Any
) -> None:
    """Find what is wrong with hooks before they are deployed.

    The bundle is unpacked and imported as a replica would do it; a model in its folder, or
    --model, is loaded too. The fault is printed with the lines of the hook that made it.
    """
    from hookline.cli.inputs import input_file  # noqa: PLC0415 - help needs none
    from hookline.cli.workbench import Wishes, isolated, launch_spec  # noqa: PLC0415 - as above

    place = model or (dir_or_zip if _has_model(Path(dir_or_zip)) else None)
    if place is None:
        if file:
            raise click.UsageError("--file needs a model: name one with --model.")
        sys.exit(_check_alone(shell, dir_or_zip))
    path = input_file(file) if file else None
    wishes = Wishes(place, dir_or_zip, given)
    with launch_spec(shell.config, wishes, show=[str(path)] if path else []) as spec:
        sys.exit(isolated(lambda: _check(spec, path)))


def _has_model(path: Path) -> bool:
    """Whether one of the folder's own files is a model, whatever its name."""
    if not path.is_dir():
        return False
    from hookline.convert.sources import holds_model  # noqa: PLC0415 - help needs none

    return holds_model(path)


def _check_alone(shell: Shell, bundle: str) -> int:
    """Unpack and import the hooks, without a model."""
    from hookline.cli.workbench import isolated, unpacked  # noqa: PLC0415 - help needs none
    from hookline.runtime.spec import LaunchSpec, PipelineSpec, SandboxSpec  # noqa: PLC0415 - as above

    with unpacked(Path(bundle)) as code_dir:
        spec = LaunchSpec(
            pipeline=PipelineSpec(model_path="", code_dir=code_dir),
            sandbox=SandboxSpec(mode=shell.config.sandbox),  # type: ignore[arg-type]  # core.config allows just these words
        )
        return isolated(lambda: _import(spec))


def _import(spec: LaunchSpec) -> int:
    from hookline.runtime.inference_file import load_hooks  # noqa: PLC0415 - inside the sandbox
    from hookline.runtime.launch import confined  # noqa: PLC0415 - as above

    load_hooks(confined(spec).pipeline.code_dir)
    exits.say(f"The hooks import well: {_names()}. No model was given.")
    return exits.OK


def _names() -> str:
    """The hooks of the inference.py that this process has imported; tell of misspelt ones."""
    from hookline.cli.hooknames import hook_names, misspelt  # noqa: PLC0415 - inside the sandbox

    module = sys.modules[Path(HOOK_FILE).stem]
    found = hook_names(module)
    for sentence in misspelt(module, found):
        exits.say(f"Warning: {sentence}")
    return ", ".join(found)


def _check(spec: LaunchSpec, path: Path | None) -> int:
    from hookline.cli.workbench import data_stream  # noqa: PLC0415 - help needs none
    from hookline.core.names import mime_type_of  # noqa: PLC0415 - inside the sandbox
    from hookline.runtime.items import Item  # noqa: PLC0415 - as above
    from hookline.runtime.launch import confined  # noqa: PLC0415 - as above

    data = data_stream()
    spec = confined(spec)
    from hookline.runtime.pipeline import Pipeline  # noqa: PLC0415 - numpy only inside the sandbox

    pipeline = Pipeline.load(spec.pipeline)
    pipeline.warm_up()
    exits.say(f"The hooks ({_names()}) and the model load well.")
    if path:
        (outcome,) = pipeline.run([Item(path.read_bytes(), mime_type_of(path.name), path.name)])
        if isinstance(outcome, HooklineError):
            raise outcome
        data.write(outcome.body + b"\n")
    return exits.OK
