"""`hookline key`: the credentials of users."""

from __future__ import annotations

import click

from hookline.cli import exits
from hookline.cli.command import Group
from hookline.cli.options import with_output
from hookline.cli.shell import Shell, pass_shell
from hookline.cli.wording import USER_NAME


@click.group("key", cls=Group)
def key_command() -> None:
    """Make and revoke API keys."""


@key_command.command(
    "create", examples=("hookline key create", "hookline key create --user ada -o json")
)
@click.option("--user", type=USER_NAME, metavar="NAME", help="Whose key it is; yours unless given.")
@with_output
@pass_shell
def create_key(shell: Shell, /, user: str | None) -> None:
    """Make a key and print it: it is shown once."""
    with shell.client() as cloud:
        shell.show(cloud.create_key(user or ""), ("id", "key", "user"))


@key_command.command("webhook", examples=("hookline key webhook", "hookline key webhook -o json"))
@with_output
@pass_shell
def make_webhook_secret(shell: Shell, /) -> None:
    """Make the secret that notices of ended jobs are signed with, and print it: it is shown once.

    Making another one replaces it; the former one signs as well for a day.
    """
    from hookline.client.views import WebhookSecret  # noqa: PLC0415 - help needs none

    with shell.client() as cloud:
        shell.show(WebhookSecret(secret=cloud.make_webhook_secret()), ("secret",))


@key_command.command("list", examples=("hookline key list", "hookline key list -o json"))
@with_output
@pass_shell
def list_keys(shell: Shell, /) -> None:
    """List keys by their first characters; the secrets are not stored."""
    with shell.client() as cloud:
        shell.show_all(cloud.keys(), ("id", "label", "user", "created_at"))


@key_command.command(
    "delete",
    examples=(
        "hookline key delete 0a1b2c3d4e5f6071",
        "hookline key delete 0a1b2c3d4e5f6071 8e517a6e6ed91510",
    ),
)
@click.argument("key_ids", nargs=-1, required=True, metavar="KEY_ID...")
@pass_shell
def delete_keys(shell: Shell, /, key_ids: tuple[str, ...]) -> None:
    """Revoke keys at once."""
    with shell.client() as cloud:
        for key_id in key_ids:
            cloud.delete_key(key_id)
            exits.say(f"Revoked key {key_id}.")
