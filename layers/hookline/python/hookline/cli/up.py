"""The cloud on this machine: up, down and doctor."""

from __future__ import annotations

import sys
from typing import Any

import click

from hookline.cli import exits
from hookline.cli.command import Command
from hookline.cli.options import with_output
from hookline.cli.shell import Shell, pass_shell


@click.command(
    "up",
    cls=Command,
    examples=("hookline up -d", "hookline up --port 8800 --home ./cloud"),
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Where it listens; 8700 unless given.",
)
@click.option(
    "--host", metavar="ADDRESS", help="Address to listen on; this machine alone unless given."
)
@click.option(
    "--workers", type=click.IntRange(min=0), metavar="N", help="Batch workers; 0 for one per core."
)
@click.option("-d", "--detach", is_flag=True, help="Return when it is ready; it stays up.")
@pass_shell
def up_command(shell: Shell, /, *, detach: bool, **given: Any) -> None:
    """Start the whole cloud on this machine.

    Models, streams, volumes and jobs are kept in --home. An admin key is written into the profile,
    so that the other commands find the cloud.
    """
    from hookline.local import up  # noqa: PLC0415 - the whole cloud, loaded only here

    shell.flags.update({name: value for name, value in given.items() if value is not None})
    sys.exit(up.run(shell.config, detach=detach))


@click.command("down", cls=Command, examples=("hookline down", "hookline down --purge"))
@click.option("--purge", is_flag=True, help="Delete all its data as well: models, volumes, jobs.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask before --purge deletes.")
@pass_shell
def down_command(shell: Shell, /, *, purge: bool, is_sure: bool) -> None:
    """Stop the cloud on this machine.

    In a terminal, --purge asks first; a script is not asked.
    """
    from hookline.local import up  # noqa: PLC0415 - the whole cloud, loaded only here

    home = shell.config.home
    is_asked = purge and not is_sure and sys.stdin.isatty() and home.exists()
    question = f"Delete all models, volumes and jobs in {home}?"
    if is_asked and not click.confirm(question, err=True):
        exits.say("It is all as it was.")
        sys.exit(exits.OTHER)
    sys.exit(up.down(shell.config, purge=purge))


@click.command("doctor", cls=Command, examples=("hookline doctor", "hookline doctor -o json"))
@with_output
@pass_shell
def doctor_command(shell: Shell, /) -> None:
    """Say what is missing or weak on this machine, with the mend.

    The exit code is 1 when a check fails.
    """
    from hookline.local import doctor  # noqa: PLC0415 - the whole cloud, loaded only here

    checks = list(doctor.checks(shell.config))
    shell.show_all(checks, ("name", "ok", "detail", "mend"))
    sys.exit(0 if all(check.ok for check in checks) else 1)
