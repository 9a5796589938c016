"""`hookline serve`: one replica in the foreground."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookline.cli import exits
from hookline.cli.command import Command
from hookline.cli.options import with_formatter
from hookline.cli.preparing import with_model_options
from hookline.cli.shell import Shell, pass_shell

if TYPE_CHECKING:
    from hookline.runtime.spec import ServerSpec


def _slo_ms(_: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """The milliseconds in `p99=50ms`."""
    if text is None:
        return None
    found = re.fullmatch(r"p99=([0-9]{1,7}(?:\.[0-9]{1,3})?)(ms|s)", text)
    goal_ms = float(found[1]) * (1000 if found[2] == "s" else 1) if found else 0.0
    if not goal_ms:
        raise click.BadParameter(f"{text!r} is not a goal such as p99=50ms.", param=param)
    return goal_ms


@click.command(
    "serve",
    cls=Command,
    examples=(
        "hookline serve digits.onnx --port 8080 --no-auth",
        "hookline serve ./digits --formatter classification --max-batch 32 --max-wait-ms 2",
    ),
)
@click.argument("model")
@click.option(
    "--hooks", metavar="FILE|ZIP|DIR", help="Hooks; those in MODEL's folder unless given."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, metavar="N")
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Also speak the Open Inference Protocol over gRPC there; 0 takes any free port.",
)
@click.option(
    "--max-batch", type=click.IntRange(min=1), metavar="N", help="Most items in one batch."
)
@click.option(
    "--max-wait-ms", type=click.FloatRange(min=0), metavar="N", help="Longest wait to fill a batch."
)
@click.option(
    "--slo",
    metavar="p99=MS",
    callback=_slo_ms,
    help="Tune batches so that 99 of 100 answers take less, as in p99=50ms.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes; each has its own copy of the model.",
)
@click.option(
    "--name", metavar="NAME", help="What other protocols call the model; that of its file."
)
@with_formatter
@with_model_options
@click.option("--no-auth", is_flag=True, help="Let every caller in.")
@pass_shell
def serve_command(shell: Shell, /, model: str, hooks: str | None, **given: Any) -> None:
    """Serve one model without a control plane, until Ctrl-C.

    Callers send the token that is printed at the start, as `Authorization: Bearer TOKEN`. It is a
    new one each time; with --no-auth there is none.
    """
    from hookline.cli.workbench import Wishes, isolated, launch_spec  # noqa: PLC0415 - help needs none
    from hookline.core.secrets import new_token  # noqa: PLC0415 - as above
    from hookline.runtime.replica import serve  # noqa: PLC0415 - as above
    from hookline.runtime.workers import serve_workers  # noqa: PLC0415 - as above

    token = "" if given["no_auth"] else new_token()
    server = _server(model, given, token)

    def tell(url: str) -> None:
        auth = f" -H 'Authorization: Bearer {token}'" if token else ""
        exits.say("Ready. Ask it with:")
        exits.say(f"  curl --data-binary @FILE -H 'Content-Type: TYPE'{auth} {url}/predict")

    with launch_spec(shell.config, Wishes(model, hooks, given), server=server) as spec:
        if given["workers"] > 1:
            sys.exit(isolated(lambda: serve_workers(spec, given["workers"], tell)))
        sys.exit(isolated(lambda: serve(spec, tell)))


def _server(model: str, given: dict[str, Any], token: str) -> ServerSpec:
    """The flags as a ServerSpec; those that were not given keep its defaults."""
    from hookline.core.secrets import digest  # noqa: PLC0415 - help needs none
    from hookline.runtime.spec import ServedAs, ServerSpec  # noqa: PLC0415 - as above

    names = {
        "host": "host",
        "port": "port",
        "max_batch": "max_batch_items",
        "max_wait_ms": "max_wait_ms",
        "slo": "slo_p99_ms",
        "grpc_port": "grpc_port",
    }
    chosen = {full: given[name] for name, full in names.items() if given[name] is not None}
    name = given["name"] or Path(model).resolve().stem
    return ServerSpec(
        **chosen,
        token_sha256=(digest(token),) if token else (),
        labels={"model": name},
        served=ServedAs(name=name),
    )
