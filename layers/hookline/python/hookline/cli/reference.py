"""The command line's reference, as Markdown.

python -m hookline.cli.reference > docs/reference/cli.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from hookline.cli.command import Command
from hookline.cli.exits import __doc__ as EXIT_CODES  # noqa: N812 - a text, not a class
from hookline.cli.main import HOOKLINE, SEED_ALIASES
from hookline.cli.shell import Shell

COMMON = frozenset({"endpoint", "profile", "home", "quiet", "query"})
INTRODUCTION = """\
# Command line

Data goes to stdout, everything else to stderr. `-o table|json|jsonl|csv|id` says how a list or a
new thing is printed. `-q` prints ids alone. `--query` prints a part of the answer, named in
[JMESPath](https://jmespath.org): texts as they are and a list by line, for a shell; `-o json` and
`-o jsonl` print it as JSON.

```sh
TOKEN=$(hookline model deploy 2 --wait --query presigned_token)
hookline stream undeploy $(hookline stream list --query 'max_by([], &id).id')
```

`--endpoint`, `--profile` and `--home` choose the cloud; they, `-o`, `-q` and `--query` stand before
or after the verb.
"""


def reference() -> str:
    """The whole page."""
    root = click.Context(HOOKLINE, info_name="hookline", obj=Shell({}))
    parts = [INTRODUCTION, *(_section(*found) for found in commands(root)), _codes(), _aliases()]
    return "\n".join(parts)


def commands(ctx: click.Context) -> Iterator[tuple[str, Command]]:
    """Every command that does something, with the words that call it."""
    group = ctx.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, Command):
            yield f"{ctx.command_path} {name}", command
        elif command is not None:
            yield from commands(click.Context(command, ctx, info_name=name, obj=ctx.obj))


def _section(path: str, command: Command) -> str:
    ctx = click.Context(command, info_name=path, obj=Shell({}))
    usage = " ".join([path, *command.collect_usage_pieces(ctx)])
    lines = [f"## {path}\n", f"```\n{usage}\n```\n", f"{_text(command)}\n"]
    lines += ["```console", *(f"$ {example}" for example in command.examples), "```\n"]
    options = [option for option in command.params if isinstance(option, click.Option)]
    rows = [_row(option, ctx) for option in options if option.name not in COMMON]
    if rows:
        lines += ["| option | meaning |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _text(command: Command) -> str:
    paragraphs = (command.help or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _row(option: click.Option, ctx: click.Context) -> str:
    record: Any = option.get_help_record(ctx)
    name, meaning = (str(part).replace("|", "\\|") for part in record)
    return f"| `{name}` | {' '.join(meaning.split())} |"


def _codes() -> str:
    _, _, text = (EXIT_CODES or "").partition("\n\n")
    rows = (code.strip().partition(" ") for code in text.replace("\n", " ").split("·"))
    lines = [f"| {number} | {meaning} |" for number, _, meaning in rows]
    return "\n".join(["## Exit codes\n", "| code | meaning |", "|---|---|", *lines, ""])


def _aliases() -> str:
    lines = [f"| `{short}` | `{'`, `'.join(full)}` |" for short, full in SEED_ALIASES.items()]
    start = "## ncloud\n\n`ncloud` is hookline with the seed's tables, and these short forms:\n"
    return "\n".join([start, "| short | long |", "|---|---|", *lines, ""])


if __name__ == "__main__":
    print(reference(), end="")
