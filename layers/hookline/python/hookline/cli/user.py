"""`hookline user`: the people of the tenant."""

from __future__ import annotations

import click

from hookline.cli import exits
from hookline.cli.command import Group
from hookline.cli.options import with_output
from hookline.cli.shell import Shell, pass_shell
from hookline.cli.wording import USER_NAME


@click.group("user", cls=Group)
def user_command() -> None:
    """Add and remove the people of the tenant."""


@user_command.command(
    "create", examples=("hookline user create ada", "hookline user create grace --role admin")
)
@click.argument("name", type=USER_NAME)
@click.option(
    "--role", type=click.Choice(("user", "admin")), default="user", help="Admins manage users."
)
@with_output
@pass_shell
def create_user(shell: Shell, /, name: str, role: str) -> None:
    """Add a person; `key create --user NAME` lets them in."""
    with shell.client() as cloud:
        shell.show(cloud.create_user(name, role), ("name", "role"))


@user_command.command("list", examples=("hookline user list", "hookline user list -o json"))
@with_output
@pass_shell
def list_users(shell: Shell, /) -> None:
    """List the people of the tenant."""
    with shell.client() as cloud:
        shell.show_all(cloud.users(), ("name", "role", "created_at"))


@user_command.command(
    "delete", examples=("hookline user delete ada", "hookline user delete ada --profile staging")
)
@click.argument("name")
@pass_shell
def delete_user(shell: Shell, /, name: str) -> None:
    """Remove a person and revoke their keys."""
    with shell.client() as cloud:
        cloud.delete_user(name)
    exits.say(f"Deleted user {name}.")


@user_command.command("me", examples=("hookline user me", "hookline user me -o json"))
@with_output
@pass_shell
def me(shell: Shell, /) -> None:
    """Say whom your key speaks for."""
    with shell.client() as cloud:
        shell.show(cloud.me(), ("user", "role", "tenant"))
