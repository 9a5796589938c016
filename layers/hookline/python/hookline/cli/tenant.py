"""`hookline tenant`: the tenants on AWS, with your own AWS credentials."""

from __future__ import annotations

import click

from hookline.cli import exits
from hookline.cli.command import Group
from hookline.cli.options import with_output
from hookline.cli.shell import Shell, pass_shell
from hookline.core import profiles
from hookline.core.errors import Conflict

STAGES = ("dev", "prod")

_region = click.option(
    "--region", default="", metavar="REGION", help="AWS region; else your AWS settings' own."
)


@click.group("tenant", cls=Group)
def tenant_command() -> None:
    """List the tenants on AWS, and let their first admin in."""


@tenant_command.command(
    "bootstrap",
    examples=(
        "hookline tenant bootstrap acme",
        "hookline tenant bootstrap acme --stage prod --region eu-west-1 --profile acme",
    ),
)
@click.argument("name")
@click.option(
    "--stage", type=click.Choice(STAGES), default="dev", show_default=True, help="Its stage."
)
@_region
@click.option("--new-key", "is_new_key_wanted", is_flag=True, help="Make another key.")
@with_output
@pass_shell
def bootstrap(
    shell: Shell, /, name: str, stage: str, region: str, *, is_new_key_wanted: bool
) -> None:
    """Make the first admin of a deployed tenant, and print their key: it is shown once.

    The endpoint and the key are stored as the profile NAME-STAGE, or the one that --profile names.
    AWS is asked with the credentials of your environment or AWS_PROFILE. When there is a key
    already, none is made: --new-key makes another.
    """
    from hookline.local import tenant  # noqa: PLC0415 - loads the control plane

    profile = shell.config.profile or f"{name}-{stage}"
    reached = tenant.reach(name, stage, _region_of(shell, region))
    _refuse_anothers(shell, profile, reached.endpoint)
    made = tenant.bootstrap(reached, is_new_key_wanted=is_new_key_wanted)
    shell.show(made, ("tenant", "endpoint", "user", "key"))
    if not made.key:
        exits.say(f"The admin of {name} has a key already; --new-key makes another.")
        return
    path = profiles.save(shell.config, profile, made.endpoint, made.key)
    exits.say(f"Stored in {path}. Use it with `--profile {profile}` or HOOKLINE_PROFILE={profile}.")


@tenant_command.command(
    "list", examples=("hookline tenant list", "hookline tenant list --region eu-west-1 -o json")
)
@_region
@with_output
@pass_shell
def list_tenants(shell: Shell, /, region: str) -> None:
    """List the tenants that are deployed in a region."""
    from hookline.local import tenant  # noqa: PLC0415 - loads the AWS adapters

    found = tenant.tenants(_region_of(shell, region))
    shell.show_all(found, ("tenant", "stage", "region", "endpoint", "status"))


def _region_of(shell: Shell, flag: str) -> str:
    return flag or shell.environ.get("AWS_REGION", "")


def _refuse_anothers(shell: Shell, name: str, endpoint: str) -> None:
    """Never store a key over the key of another cloud."""
    known = profiles.find(shell.config, name)
    if known is not None and known.key and known.endpoint != endpoint:
        raise Conflict(
            f"The profile {name} is of {known.endpoint}; no key is made.",
            hint=f"Name another with --profile, or remove {name} from "
            f"{profiles.path_of(shell.config)}.",
        )
