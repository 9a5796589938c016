"""`hookline volume`: upload, link, list, show, delete, watch, unwatch, history, triggers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from hookline.cli import exits
from hookline.cli.command import Group
from hookline.cli.gathering import gathering, with_gathering
from hookline.cli.options import (
    ID,
    forced,
    serving,
    with_force,
    with_list_output,
    with_notify,
    with_output,
    with_serving,
)
from hookline.cli.shell import Shell, pass_shell
from hookline.cli.wording import NAME

WATCHED = (
    "id",
    "volume_id",
    "model_id",
    "settle_s",
    "suffixes",
    "marker",
    "manifest",
    "is_on",
)
DROPPED = ("trigger_id", "name", "outcome", "job_id", "reason", "seen_at")


@click.group("volume", cls=Group)
def volume_command() -> None:
    """Upload, link and watch collections of files."""


@volume_command.command(
    "upload",
    examples=(
        "hookline volume upload ./tiny_image_volume",
        "hookline volume upload ./more_images -i 56",
    ),
)
@click.argument("path")
@click.option("--name", type=NAME, help="What to call it; the name of PATH unless given.")
@click.option("-i", "--id", "volume_id", type=ID, help="Add to this volume instead of a new one.")
@click.option("--follow-symlinks", is_flag=True, help="Upload what links point to.")
@with_output
@pass_shell
def upload(
    shell: Shell, /, path: str, name: str | None, volume_id: int | None, *, follow_symlinks: bool
) -> None:
    """Upload a folder, or a single file, as a volume.

    Files are named relative to PATH; one of the same name is replaced. Dotfiles are left out. The
    exit code is 1 when a file failed.
    """
    from hookline.cli.uploading import Folder, announce, send  # noqa: PLC0415 - help needs none

    folder = Folder.at(Path(path), follow_symlinks=follow_symlinks)
    with shell.client() as cloud:
        if volume_id is None:
            volume_id = cloud.create_volume(name or Path(path).resolve().name).id
            announce(shell, f"Created volume with ID {volume_id}.")
        outcome = send(cloud, volume_id, folder)
    announce(shell, f"{outcome.success}/{outcome.total_files} Uploaded. {outcome.failed} Failed.")
    shell.show(outcome, ("failed", "id", "success", "total_files"))
    sys.exit(exits.OTHER if outcome.failed else exits.OK)


@volume_command.command(
    "link",
    examples=(
        "hookline volume link /data/images",
        "hookline volume link s3://my-bucket/images --name images",
    ),
)
@click.argument("place", metavar="URI|DIR")
@click.option("--name", type=NAME, help="What to call it; the end of URI or DIR unless given.")
@with_output
@pass_shell
def link(shell: Shell, /, place: str, name: str | None) -> None:
    """Make a volume of files that stay where they are."""
    target = place if "://" in place else str(Path(place).resolve())
    with shell.client() as cloud:
        called = name or target.rstrip("/").rpartition("/")[2] or "root"
        volume = cloud.create_volume(called, link=target)
        exits.say(f"Created volume with ID {volume.id}.")
        shell.show(volume, ("id", "name", "link"))


@volume_command.command("list", examples=("hookline volume list", "hookline volume list -o csv"))
@with_list_output
@pass_shell
def list_(shell: Shell, /) -> None:
    """List the volumes."""
    with shell.client() as cloud:
        shell.show_all(cloud.volumes(), ("id", "name", "link", "created_at"))


@volume_command.command(
    "show", examples=("hookline volume show 56", "hookline volume show 56 --files -o jsonl")
)
@click.argument("volume_id", type=ID)
@click.option("--files", "is_listing", is_flag=True, help="List its files instead.")
@with_output
@pass_shell
def show(shell: Shell, /, volume_id: int, *, is_listing: bool) -> None:
    """Show a volume: where it is, how many files it has, and their size."""
    with shell.client() as cloud:
        if is_listing:
            shell.show_all(cloud.volume_files(volume_id), ("name", "size_bytes", "modified_at"))
        else:
            shell.show(cloud.volume(volume_id))


@volume_command.command(
    "delete", examples=("hookline volume delete 56", "hookline volume delete 56 --profile staging")
)
@click.argument("volume_id", type=ID)
@pass_shell
def delete(shell: Shell, /, volume_id: int) -> None:
    """Delete a volume and its uploaded files; what a link points to stays."""
    with shell.client() as cloud:
        cloud.delete_volume(volume_id)
    exits.say(f"Deleted volume {volume_id}.")


@volume_command.command(
    "watch",
    examples=(
        "hookline volume watch 56 --model 2",
        "hookline volume watch 56 --model 2 -f hooks.zip --formatter classification",
        "hookline volume watch 56 --model 2 --settle 30 --max-wait 600 --suffix .jpg,.png",
        "hookline volume watch 56 --model 2 --marker _SUCCESS",
        "hookline volume watch 56 --model 2 --notify https://example.com/hook",
    ),
)
@click.argument("volume_id", type=ID)
@click.option("--model", "model_id", type=ID, required=True, help="The model that predicts.")
@with_gathering
@with_notify
@with_serving
@with_force
@with_output
@pass_shell
def watch(shell: Shell, /, volume_id: int, model_id: int, notify: str, **given: Any) -> None:
    """Predict every file that lands in a volume from now on.

    Files may be uploaded, or copied into the volume's folder by any program. Each burst becomes a
    job; `volume history` tells which.
    """
    gathers, force = gathering(given), forced(given)
    with shell.client() as cloud:
        trigger = cloud.watch(
            volume_id, model_id, gathering=gathers, notify=notify, **force, **serving(given)
        )
        shell.show(trigger, WATCHED)
        exits.say(f"Files now land in {cloud.volume(volume_id).location}.")


@volume_command.command(
    "unwatch", examples=("hookline volume unwatch 56", "hookline volume unwatch 56 -o json")
)
@click.argument("volume_id", type=ID)
@with_output
@pass_shell
def unwatch(shell: Shell, /, volume_id: int) -> None:
    """Stop predicting what lands in a volume; jobs that run go on."""
    with shell.client() as cloud:
        shell.show_all(cloud.unwatch(volume_id), WATCHED)


@volume_command.command(
    "history", examples=("hookline volume history 56", "hookline volume history 56 -o jsonl")
)
@click.argument("volume_id", type=ID)
@with_output
@pass_shell
def history(shell: Shell, /, volume_id: int) -> None:
    """List the files that landed: the job that has each, or why none has.

    The outcome is taken (a job has it), starter (it began a job), waiting or ignored.
    """
    with shell.client() as cloud:
        shell.show_all(cloud.drops(volume_id), DROPPED)


@volume_command.command(
    "triggers", examples=("hookline volume triggers 56", "hookline volume triggers 56 --history")
)
@click.argument("volume_id", type=ID)
@click.option("--history", is_flag=True, help="List the files that landed, and their jobs.")
@with_output
@pass_shell
def triggers(shell: Shell, /, volume_id: int, *, history: bool) -> None:
    """List a volume's triggers; with --history, why each file did or did not run."""
    with shell.client() as cloud:
        if history:
            shell.show_all(cloud.drops(volume_id), DROPPED)
        else:
            shell.show_all(cloud.triggers(volume_id), WATCHED)
