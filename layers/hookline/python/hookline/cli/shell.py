"""What one call of the command line knows: its settings, its cloud, its output format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import httpx2

    from hookline import Client
    from hookline.cli.query import Query
    from hookline.core.config import Config

FORMATS = ("table", "json", "jsonl", "csv", "id")


@dataclass
class Shell:
    """`environ` gives the settings when they are first needed; flags change them.

    As `ncloud` (`is_seed`), tables have the seed's columns and short forms are known.
    """

    environ: Mapping[str, str]
    transport: httpx2.BaseTransport | None = None
    is_seed: bool = False
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    output: str = "table"
    has_details: bool = False
    query: Query | None = None
    flags: dict[str, Any] = field(default_factory=dict)
    timeout_s: float = 60.0

    @property
    def config(self) -> Config:
        """The settings, flags first. Raise BadRequest for a malformed one."""
        from hookline.core import config as settings  # noqa: PLC0415 - help needs none

        return replace(settings.from_environment(self.environ), **self.flags)

    @property
    def is_debugging(self) -> bool:
        return self.environ.get("HOOKLINE_LOG_LEVEL") == "DEBUG"

    def client(self) -> Client:
        """The cloud that flags, environment and profile point at."""
        from hookline.client.client import Client  # noqa: PLC0415 - costs 150 ms, help needs none
        from hookline.core import profiles  # noqa: PLC0415 - as above

        profile = profiles.load(self.config)
        return Client(
            profile.endpoint, profile.key, timeout_s=self.timeout_s, transport=self.transport
        )

    def show(self, view: object, columns: Iterable[str] = ()) -> None:
        """Print one answer: as a row of `columns`, or without them as a field a line."""
        from hookline.cli import output  # noqa: PLC0415 - brings msgspec, help needs none

        if self.query:
            self._print(self.query.lines(output.plain(view), self.output))
            return
        self._print(output.one(view, self.output, tuple(columns)))

    def show_all(
        self, views: Iterable[object], columns: Iterable[str], seed: Iterable[str] = ()
    ) -> None:
        """Print a list; `seed` are the columns that ncloud shows. --details shows all there are."""
        from hookline.cli import output  # noqa: PLC0415 - brings msgspec, help needs none

        if self.query:
            self._print(self.query.lines(output.plain(list(views)), self.output))
            return
        chosen = tuple(seed) if self.is_seed and seed else tuple(columns)
        self._print(output.many(views, self.output, () if self.has_details else chosen))

    def _print(self, lines: Iterator[str]) -> None:
        for line in lines:
            click.echo(line)


def this_shell(ctx: click.Context) -> Shell:
    """The shell of the call that `ctx` belongs to."""
    shell = ctx.find_object(Shell)
    if shell is None:
        raise RuntimeError("a command runs below the root command")
    return shell


pass_shell = click.make_pass_decorator(Shell)


def cloud_options() -> list[click.Option]:
    """--endpoint, --profile and --home, understood before and after the verb."""
    return [
        _flag("--endpoint", "URL of the cloud.  [env: HOOKLINE_ENDPOINT]", "URL"),
        _flag("--profile", "Stored endpoint and key to use.  [env: HOOKLINE_PROFILE]", "NAME"),
        _flag("--home", "Folder of the cloud on this machine.  [env: HOOKLINE_HOME]", "DIR"),
    ]


def output_options() -> list[click.Option]:
    """-o, -q and --query, understood before and after the verb."""
    return [
        click.Option(
            ["-o", "--output"],
            type=click.Choice(FORMATS),
            expose_value=False,
            callback=_remember_output,
            help="How to print the answer; table unless given.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_remember_quiet,
            help="Print ids alone, as -o id does.",
        ),
        click.Option(
            ["--query"],
            expose_value=False,
            callback=_remember_query,
            metavar="EXPR",
            help="Print this part of the answer alone; JMESPath, as [].id.",
        ),
    ]


def details_option() -> click.Option:
    """--details of lists, as the seed has it."""
    return click.Option(
        ["--details"],
        is_flag=True,
        expose_value=False,
        callback=_remember_details,
        help="Show every field, not the main ones alone.",
    )


def _flag(name: str, text: str, metavar: str) -> click.Option:
    return click.Option(
        [name], expose_value=False, callback=_remember_flag, metavar=metavar, help=text
    )


def _remember_flag(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is None or param.name is None:
        return
    from pathlib import Path  # noqa: PLC0415 - help needs none

    flags = this_shell(ctx).flags
    flags[param.name] = Path(value).expanduser().absolute() if param.name == "home" else value
    if param.name == "home":
        flags["has_own_home"] = True


def _remember_output(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        this_shell(ctx).output = value


def _remember_quiet(ctx: click.Context, _: click.Parameter, is_quiet: bool) -> None:  # noqa: FBT001 - click's signature
    if is_quiet:
        this_shell(ctx).output = "id"


def _remember_details(ctx: click.Context, _: click.Parameter, has_details: bool) -> None:  # noqa: FBT001 - as above
    if has_details:
        this_shell(ctx).has_details = True


def _remember_query(ctx: click.Context, _: click.Parameter, text: str | None) -> None:
    if text is not None:
        from hookline.cli.query import Query  # noqa: PLC0415 - only where there is one

        this_shell(ctx).query = Query(text)
