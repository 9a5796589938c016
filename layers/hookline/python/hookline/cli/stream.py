"""`hookline stream`: list, show, predict, logs, undeploy, rotate."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from hookline.cli import exits
from hookline.cli.command import Group
from hookline.cli.loglines import Lines, with_lines
from hookline.cli.options import (
    ID,
    forced,
    scale,
    serving,
    with_force,
    with_list_output,
    with_output,
    with_scale,
    with_serving,
    with_wait,
)
from hookline.cli.shell import Shell, pass_shell

if TYPE_CHECKING:
    from hookline import Client

LISTED = (
    "id",
    "model_id",
    "status",
    "formatter",
    "ready_replicas",
    "replicas",
    "min_replicas",
    "max_replicas",
    "created_at",
)
FOLLOW_S = 0.5
WATCH_S = 2.0


@click.group("stream", cls=Group)
def stream_command() -> None:
    """Ask, inspect and stop deployed models."""


@stream_command.command("list", examples=("hookline stream list", "hookline stream list -o id"))
@with_list_output
@pass_shell
def list_(shell: Shell, /) -> None:
    """List the streams."""
    with shell.client() as cloud:
        shell.show_all(cloud.streams(), LISTED, seed=("id", "model_id", "status"))


@stream_command.command(
    "show",
    examples=(
        "hookline stream show 23",
        "hookline stream show 23 --log",
        "hookline stream show 23 --watch",
        "hookline stream show 23 --watch -o jsonl",
    ),
)
@click.argument("stream_id", type=ID)
@click.option("-l", "--log", "has_log", is_flag=True, help="Print its log instead.")
@click.option("-w", "--watch", is_flag=True, help="Show its traffic anew until Ctrl-C.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.1, 86_400),
    default=WATCH_S,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks.",
)
@click.option(
    "--times", type=click.IntRange(min=1), metavar="N", help="End --watch after so many looks."
)
@with_output
@pass_shell
def show(
    shell: Shell,
    /,
    stream_id: int,
    *,
    has_log: bool,
    watch: bool,
    every_s: float,
    times: int | None,
) -> None:
    """Show a stream; for a failed one, the lines of the hook that failed."""
    with shell.client() as cloud:
        if has_log:
            _print_logs(cloud, stream_id, 0, Lines())
            return
        if not watch:
            shell.show(cloud.stream(stream_id))
            return
        from hookline.cli.watching import watch_stream  # noqa: PLC0415 - help needs none

        with exits.on_interrupt(f"Stream {stream_id} goes on."):
            watch_stream(
                cloud,
                stream_id,
                form=shell.output,
                query=shell.query,
                every_s=every_s,
                times=times,
            )


@stream_command.command(
    "predict",
    examples=(
        "hookline stream predict 8e517a6e6ed915103240c0c9ef0b4b ./img1.jpg",
        "hookline stream predict $TOKEN - --mime-type application/json < in.json",
    ),
)
@click.argument("token")
@click.argument("file")
@click.option("--mime-type", metavar="TYPE", help="What FILE is; told by its name unless given.")
@pass_shell
def predict(shell: Shell, /, token: str, file: str, mime_type: str | None) -> None:
    """Send FILE to a stream and print the answer as is.

    TOKEN is the presigned token that `model deploy` printed; `-` reads stdin.
    """
    from hookline.cli.inputs import input_file  # noqa: PLC0415 - help needs none
    from hookline.core.names import mime_type_of  # noqa: PLC0415 - as above

    body = sys.stdin.buffer.read() if file == "-" else input_file(file).read_bytes()
    with shell.client() as cloud:
        answer = cloud.predict(token, body, mime_type or mime_type_of(file))
    end = b"" if answer.body.endswith(b"\n") else b"\n"
    click.echo(answer.body + end, nl=False)


@stream_command.command(
    "logs",
    examples=(
        "hookline stream logs 23 --follow",
        "hookline stream logs 23 --since 10m --level warning",
        "hookline stream logs 23 --request-id 637a44fa93a7b146000000000000000c",
    ),
)
@click.argument("stream_id", type=ID)
@click.option("-f", "--follow", is_flag=True, help="Print new lines until Ctrl-C.")
@with_lines
@pass_shell
def logs(shell: Shell, /, stream_id: int, *, follow: bool, **wanted: Any) -> None:
    """Print what a stream's replicas logged, hooks' prints included."""
    lines = Lines(**wanted)
    with shell.client() as cloud, exits.on_interrupt(f"Stream {stream_id} goes on."):
        after = _print_logs(cloud, stream_id, 0, lines)
        while follow:
            time.sleep(FOLLOW_S)
            after = _print_logs(cloud, stream_id, after, lines)


@stream_command.command(
    "update",
    examples=(
        "hookline stream update 23 --model 3 --wait",
        "hookline stream update 23 -f inference.py",
        "hookline stream update 23 --min 1 --max 8",
    ),
)
@click.argument("stream_id", type=ID)
@click.option("--model", "model_id", type=ID, metavar="ID", help="The model that is to answer.")
@with_serving
@with_scale
@click.option(
    "--edition", type=click.IntRange(min=1), metavar="N", help="Only if the stream still has it."
)
@with_force
@with_wait
@with_output
@pass_shell
def update(
    shell: Shell, /, stream_id: int, *, is_waiting: bool, timeout_s: float, **given: Any
) -> None:
    """Change what a stream answers with, or its replicas, without refusing a request.

    What is not given stays. If the new replicas do not come up, it goes on as before.
    """
    from hookline.cli.waiting import wait_for_update  # noqa: PLC0415 - help needs none

    which = {name: given.pop(name) for name in ("model_id", "edition")}
    wanted, force = scale(given), forced(given)
    with shell.client() as cloud:
        stream = cloud.update_stream(stream_id, **which, **wanted, **force, **serving(given))
        if is_waiting:
            stream = wait_for_update(cloud, stream_id, timeout_s)
    shell.show(stream, ("id", "model_id", "status", "edition"))


@stream_command.command(
    "undeploy", examples=("hookline stream undeploy 23", "hookline stream undeploy 23 -o json")
)
@click.argument("stream_id", type=ID)
@with_output
@pass_shell
def undeploy(shell: Shell, /, stream_id: int) -> None:
    """Stop a stream and free what it holds."""
    with shell.client() as cloud:
        shell.show(cloud.undeploy(stream_id), ("id", "status"))


@stream_command.command(
    "rotate", examples=("hookline stream rotate 23", "hookline stream rotate 23 -o json")
)
@click.argument("stream_id", type=ID)
@with_output
@pass_shell
def rotate(shell: Shell, /, stream_id: int) -> None:
    """Give a stream a new presigned token; the older ones stop working."""
    with shell.client() as cloud:
        shell.show(cloud.rotate(stream_id), ("id", "presigned_token"))


def _print_logs(cloud: Client, stream_id: int, after: int, lines: Lines) -> int:
    """Print those of `lines` newer than `after`, page by page; answer where to go on."""
    from hookline.cli.output import printable  # noqa: PLC0415 - help needs none

    while True:
        page = cloud.logs(stream_id, after)
        for line in filter(lines.has, page.lines):
            click.echo("\t".join(printable(part) for part in line.split("\t")))
        if not page.lines or page.after <= after:
            sys.stdout.flush()
            return max(after, page.after)
        after = page.after
