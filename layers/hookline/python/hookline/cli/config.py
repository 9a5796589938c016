"""What each setting is, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass

import click

from hookline.cli.command import Command
from hookline.cli.options import with_output
from hookline.cli.shell import Shell, pass_shell
from hookline.core import profiles
from hookline.core.config import NAMES, PREFIX
from hookline.core.errors import NotFound
from hookline.core.secrets import redacted


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it holds. `source`: flag, environment, profile or default."""

    name: str
    value: str
    source: str


@click.command(
    "config", cls=Command, examples=("hookline config", "hookline config endpoint --home ./cloud")
)
@click.argument("name", required=False)
@with_output
@pass_shell
def config_command(shell: Shell, /, *, name: str | None) -> None:
    """Print the settings and where each came from.

    With NAME, print the value of that setting alone. Keys are cut to their ends.
    """
    settings = [_setting(shell, known) for known in NAMES]
    if name is None:
        shell.show_all(settings, ("name", "value", "source"))
        return
    found = [setting.value for setting in settings if setting.name == name]
    if not found:
        raise NotFound(f"There is no setting {name!r}.", hint=f"They are {', '.join(NAMES)}.")
    click.echo(found[0])


def _setting(shell: Shell, name: str) -> Setting:
    config, profile = shell.config, profiles.load(shell.config)
    found = {"endpoint": profile.endpoint, "key": redacted(profile.key)}
    is_stored = profiles.path_of(config).is_file()
    value, given = getattr(config, name), name in shell.flags
    if given or PREFIX + name.upper() in shell.environ:
        return Setting(name, redacted(_shown(value)), "flag" if given else "environment")
    if found.get(name):
        return Setting(name, found[name], "profile" if is_stored else "default")
    return Setting(
        name, _shown(value) or (profiles.DEFAULT if name == "profile" else ""), "default"
    )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
