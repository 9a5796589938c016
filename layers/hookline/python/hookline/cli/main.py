"""The command line: `hookline`, and `ncloud`, which speaks the seed's lines and tables."""

from __future__ import annotations

import os
from typing import Any

import click

from hookline.cli import start
from hookline.cli.command import LazyGroup
from hookline.cli.shell import Shell, cloud_options, output_options

PLACES = {
    "up": ("up", "Start the whole cloud on this machine."),
    "down": ("up", "Stop the cloud on this machine."),
    "doctor": ("up", "Say what is missing or weak on this machine, with the mend."),
    "config": ("config", "Print the settings and where each came from."),
    "run": ("run", "Predict files as a stream or a job would, in one process."),
    "serve": ("serve", "Serve one model without a control plane, until Ctrl-C."),
    "bench": ("bench", "Measure the throughput and latency of a stream or a URL."),
    "check": ("check", "Find what is wrong with hooks before they are deployed."),
    "model": ("model", "Import, list and deploy models."),
    "stream": ("stream", "Ask, inspect and stop deployed models."),
    "volume": ("volume", "Upload, link and watch collections of files."),
    "batch": ("batch", "Predict whole volumes into one CSV."),
    "user": ("user", "Add and remove the people of the tenant."),
    "key": ("key", "Make and revoke API keys."),
    "tenant": ("tenant", "List the tenants on AWS, and let their first admin in."),
}
SEED_NOUNS = ("model", "stream", "volume", "batch")
SEED_ALIASES = {
    "m": ("model",),
    "s": ("stream",),
    "v": ("volume",),
    "d": ("volume",),
    "ds": ("volume",),
    "dataset": ("volume",),
    "b": ("batch",),
    "ls": ("list",),
    "ul": ("upload",),
    "ln": ("link",),
    "rm": ("delete", "undeploy"),
}


class Root(LazyGroup):
    """A script of its own: makes the Shell that its commands share."""

    def __init__(self, *args: Any, is_seed: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_seed = is_seed
        self.params += [*cloud_options(), *output_options()]

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        shell = extra["obj"]
        shell.is_seed, shell.aliases = self.is_seed, SEED_ALIASES if self.is_seed else {}
        return super().make_context(info_name, args, parent, **extra)

    def main(self, *args: Any, **extra: Any) -> Any:
        extra["obj"] = extra.get("obj") or Shell(os.environ)
        return super().main(*args, **extra)


def _print_version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:  # noqa: FBT001 - click's signature
    if is_asked and not ctx.resilient_parsing:
        click.echo(start.version())
        ctx.exit()


def _version_option() -> click.Option:
    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Print the version and leave.",
    )


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

HOOKLINE = Root(
    "hookline",
    places=PLACES,
    params=[_version_option()],
    context_settings=SETTINGS,
    help="An inference cloud you own: streams and batches from your model and four hooks.",
    epilog="Start with: hookline up -d && hookline model import FILE --name NAME",
)
NCLOUD = Root(
    "ncloud",
    is_seed=True,
    places={noun: PLACES[noun] for noun in SEED_NOUNS},
    params=[_version_option()],
    context_settings=SETTINGS,
    help="hookline with the words and tables of ncloud; `hookline` does more.",
)
SCRIPTS = {"hookline": HOOKLINE, "ncloud": NCLOUD}
