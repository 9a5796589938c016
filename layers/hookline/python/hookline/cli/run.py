"""`hookline run`: hooks and model on files, without a server."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from hookline.cli import exits
from hookline.cli.command import Command
from hookline.cli.options import with_formatter
from hookline.cli.preparing import with_model_options
from hookline.cli.shell import Shell, pass_shell
from hookline.core.errors import HooklineError

if TYPE_CHECKING:
    from pathlib import Path

    from hookline.runtime.items import Answer, Item
    from hookline.runtime.spec import LaunchSpec

BATCH_FILES = 64


@click.command(
    "run",
    cls=Command,
    examples=(
        "hookline run digits.onnx 7.png",
        "hookline run ./digits 7.png 8.png --formatter classification --timings",
    ),
)
@click.argument("dir_or_model")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--hooks", metavar="FILE|ZIP|DIR", help="Hooks; those in DIR_OR_MODEL unless given.")
@click.option("--mime-type", metavar="TYPE", help="What the files are; told by their names.")
@with_formatter
@with_model_options
@click.option("--timings", is_flag=True, help="Tell on stderr how long each stage took.")
@pass_shell
def run_command(
    shell: Shell,
    /,
    dir_or_model: str,
    files: tuple[str, ...],
    hooks: str | None,
    mime_type: str | None,
    *,
    timings: bool,
    **given: Any,
) -> None:
    """Predict files as a stream or a job would, in one process.

    DIR_OR_MODEL is an ONNX file, or a folder with one and perhaps labels and an inference.py.
    One file prints its answer as is; several print a CSV row each, and the exit code is 10 when
    some failed.
    """
    from hookline.cli.inputs import input_file  # noqa: PLC0415 - help needs none
    from hookline.cli.workbench import Wishes, isolated, launch_spec  # noqa: PLC0415 - as above

    paths = [input_file(name) for name in files]
    wishes = Wishes(dir_or_model, hooks, given)
    with launch_spec(shell.config, wishes, show=[str(path) for path in paths]) as spec:
        sys.exit(isolated(lambda: _run(spec, paths, files, mime_type, has_timings=timings)))


@dataclass
class Stopwatch:
    """The seconds that each stage took, told on stderr."""

    began_s: float = field(default_factory=time.perf_counter)
    laps: list[tuple[str, float]] = field(default_factory=list)

    def lap(self, stage: str) -> None:
        """`stage` ends now."""
        now_s = time.perf_counter()
        self.laps.append((stage, now_s - self.began_s))
        self.began_s = now_s

    def tell(self) -> None:
        """Print all stages."""
        for stage, took_s in self.laps:
            exits.say(f"{stage:>10} {took_s * 1000:10.2f} ms")


def _run(
    spec: LaunchSpec,
    paths: Sequence[Path],
    names: Sequence[str],
    mime_type: str | None,
    *,
    has_timings: bool,
) -> int:
    """Everything inside the sandbox; answer the exit code."""
    from hookline.cli.workbench import data_stream  # noqa: PLC0415 - help needs none
    from hookline.runtime.launch import confined  # noqa: PLC0415 - as above

    watch, data = Stopwatch(), data_stream()
    spec = confined(spec)
    watch.lap("sandbox")
    from hookline.runtime.pipeline import Pipeline  # noqa: PLC0415 - numpy only inside the sandbox

    pipeline = Pipeline.load(spec.pipeline)
    watch.lap("load")
    failed = 0
    for start in range(0, len(names), BATCH_FILES):
        window = slice(start, start + BATCH_FILES)
        items = [_item(*pair, mime_type) for pair in zip(paths[window], names[window], strict=True)]
        watch.lap("read")
        outcomes = pipeline.run(items)
        watch.lap("predict")
        for item, outcome in zip(items, outcomes, strict=True):
            failed += isinstance(outcome, HooklineError)
            _print(data, item.name, outcome, is_alone=len(names) == 1)
    if has_timings:
        watch.tell()
    return exits.FAILED_ROWS if failed else exits.OK


def _item(path: Path, name: str, mime_type: str | None) -> Item:
    from hookline.core.names import mime_type_of  # noqa: PLC0415 - help needs none
    from hookline.runtime.items import Item  # noqa: PLC0415 - as above

    return Item(path.read_bytes(), mime_type or mime_type_of(name), name)


def _print(data: BinaryIO, name: str, outcome: Answer | HooklineError, *, is_alone: bool) -> None:
    if isinstance(outcome, HooklineError):
        if is_alone:
            raise outcome
        exits.report(outcome, is_debugging=False, about=name)
    elif is_alone:
        end = b"" if outcome.body.endswith(b"\n") else b"\n"
        data.write(outcome.body + end)
    else:
        row = io.StringIO()
        output = outcome.body.decode("utf-8", "replace")
        csv.writer(row, lineterminator="\n").writerow((name, output))
        data.write(row.getvalue().encode())
