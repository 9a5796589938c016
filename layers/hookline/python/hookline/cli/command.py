"""What hookline's commands share: examples first in the help, lazy groups, one outermost edge."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, cast

import click

from hookline.cli import exits
from hookline.cli.shell import Shell, cloud_options

_NEVER_CUT = 1000
# What click says of them is "is not a valid integer range".
_NUMBERS = {
    "integer": "whole number",
    "integer range": "whole number",
    "float": "number",
    "float range": "number",
}


class Command(click.Command):
    """A command whose help begins with examples; it takes the options that choose a cloud."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params += cloud_options()
        for param in self.params:
            param.type.name = _NUMBERS.get(param.type.name, param.type.name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raise UsageError for an empty word: as a path it would be the folder one is in.

        And for a number that is none or has no end: it is in every range, and is no JSON.
        """
        from hookline.core.finite import not_finite  # noqa: PLC0415 - help needs none

        left = super().parse_args(ctx, args)
        for param in self.params:
            given = ctx.params.get(param.name or "")
            if not_finite({"given": given}):
                raise click.BadParameter("Give a finite number.", ctx, param)
            if _is_place(param) and "" in (given if isinstance(given, tuple) else (given,)):
                raise click.BadParameter(
                    "It is empty; a variable of the shell may not be set.", ctx, param
                )
        return left

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        super().format_help_text(ctx, formatter)


class Group(click.Group):
    """Commands of one noun. An unknown verb gets the nearest; ncloud's short forms are known."""

    command_class = Command

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is None and (shell := ctx.find_object(Shell)):
            for full_name in shell.aliases.get(cmd_name, ()):
                found = found or super().get_command(ctx, full_name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from difflib import get_close_matches  # noqa: PLC0415 - help needs none

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            mend = f"Did you mean {near[0]}?" if near else f"See {ctx.command_path} --help."
            raise click.UsageError(f"There is no command {args[0]!r}. {mend}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with the whole first sentence of each."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, each.get_short_help_str(_NEVER_CUT)) for name, each in found if each]
            )


class LazyGroup(Group):
    """The root: `places` maps a command to its module and its one-line help.

    A module is imported when its command is called, so that --help and the other commands do not
    pay for it.
    """

    def __init__(self, *args: Any, places: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.places = dict(places)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        names = (cmd_name, *self._aliases(ctx).get(cmd_name, ()))
        name = next((name for name in names if name in self.places), None)
        if name is None:
            return None
        module = import_module(f"hookline.cli.{self.places[name][0]}")
        return cast("click.Command", getattr(module, f"{name}_command"))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, place[1]) for name, place in self.places.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError as gone:
            raise exits.ReaderGone from gone

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run one command line and exit with the code that its end stands for."""
        extra["standalone_mode"] = False
        code: object = exits.OK
        try:
            code = super().main(*args, **extra)
        except (click.exceptions.ClickException, click.Abort, exits.ReaderGone) as error:
            code = exits.report(error, is_debugging=False)
        except Exception as error:  # noqa: BLE001 - the outermost edge: a person sees a sentence
            code = exits.report(error, is_debugging=_is_debugging(extra.get("obj")))
        sys.exit(code if isinstance(code, int) else exits.OK)

    def _aliases(self, ctx: click.Context) -> Mapping[str, tuple[str, ...]]:
        shell = ctx.find_object(Shell)
        return shell.aliases if shell else {}


def _is_place(param: click.Parameter) -> bool:
    """Whether it is an argument, or an option that names a file."""
    is_file = isinstance(param, click.Option) and "FILE" in (param.metavar or "")
    return is_file or isinstance(param, click.Argument)


def _is_debugging(shell: Shell | None) -> bool:
    return shell is not None and shell.is_debugging
