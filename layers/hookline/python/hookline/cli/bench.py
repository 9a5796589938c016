"""`hookline bench`: how much a stream or a URL can take, and how long its answers take then."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookline.cli import exits
from hookline.cli.command import Command
from hookline.cli.options import with_output
from hookline.cli.shell import Shell, pass_shell
from hookline.core.errors import BadRequest, HooklineError

if TYPE_CHECKING:
    from hookline.bench.results import Level, Window
    from hookline.bench.session import Plan
    from hookline.bench.target import Target

_JSON = "application/json"
_MOST_CONNECTIONS = 4096


class Levels(click.ParamType[Any]):
    """`1,8,32` or `START:END:STEP`."""

    name = "levels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from hookline.bench.inputs import levels_of  # noqa: PLC0415 - help needs none

        try:
            return levels_of(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither 1,8,32 nor 1:32:8.", param, ctx)


class Shape(click.ParamType[Any]):
    """`3,224,224`."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from hookline.bench.inputs import shape_of  # noqa: PLC0415 - help needs none

        try:
            return shape_of(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a shape such as 224,224.", param, ctx)


class Goal(click.ParamType[Any]):
    """`p99=50ms` as a percentile and milliseconds."""

    name = "goal"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = re.fullmatch(r"p([0-9]{1,2}(?:\.[0-9]+)?)=([0-9]+(?:\.[0-9]+)?)(ms|s)", str(value))
        if not found:
            self.fail(f"{value!r} is not a goal such as p99=50ms.", param, ctx)
        return float(found[1]), float(found[2]) * (1000 if found[3] == "s" else 1)


@click.command(
    "bench",
    cls=Command,
    examples=(
        "hookline bench 8e517a6e6ed915103240c0c9ef0b4b --input 7.png --concurrency 1,8,32",
        "hookline bench http://127.0.0.1:8080 --shape 64 --rate 500 --slo p99=20ms",
        "hookline bench 23 --token $TOKEN --input 7.png --html report.html --csv report.csv",
    ),
)
@click.argument("target", metavar="STREAM|URL")
@click.option("--token", default="", help="The bearer token that the target takes.")
@click.option(
    "--direct",
    "is_direct",
    is_flag=True,
    help="Ask a replica of the stream, by its id, on this machine, and not the gateway.",
)
@click.option("--input", "inputs", multiple=True, metavar="FILE", help="Send it; several in turn.")
@click.option("--mime-type", metavar="TYPE", help="What is sent; told by the file's name.")
@click.option("--shape", type=Shape(), metavar="N,N", help="Send random examples of this shape.")
@click.option("--concurrency", type=Levels(), metavar="N,N", help="Closed loop: requests at once.")
@click.option("--rate", type=Levels(), metavar="N,N", help="Open loop: requests due per second.")
@click.option(
    "--arrivals",
    type=click.Choice(("poisson", "constant")),
    default="poisson",
    show_default=True,
    help="How the requests of --rate are spaced.",
)
@click.option(
    "--connections",
    type=click.IntRange(1, _MOST_CONNECTIONS),
    default=512,
    show_default=True,
    metavar="N",
    help="The most that --rate opens.",
)
@click.option(
    "--warmup",
    "warmup_s",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Before each level; not measured.",
)
@click.option(
    "--window",
    "window_s",
    type=click.FloatRange(min=0.05),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Measured again until three agree.",
)
@click.option(
    "--max-windows",
    type=click.IntRange(min=3),
    default=10,
    show_default=True,
    metavar="N",
    help="Give up on that.",
)
@click.option(
    "--stability",
    type=click.FloatRange(min=0.1, max=100),
    default=10.0,
    show_default=True,
    metavar="PERCENT",
    help="How much windows that agree may differ from their mean.",
)
@click.option(
    "--percentile",
    type=click.FloatRange(1, 99.9),
    metavar="P",
    help="The latency that must agree; the mean unless given.",
)
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(min=0.05),
    metavar="SECONDS",
    help="Measure each level once, for so long.",
)
@click.option("--slo", type=Goal(), metavar="p99=MS", help="Exit with 1 where it is missed.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write perf_analyzer's columns.")
@click.option("--html", "html_file", metavar="FILE", help="Write a page with plots.")
@with_output
@pass_shell
def bench_command(shell: Shell, /, target: str, **given: Any) -> None:
    """Measure the throughput and latency of a stream or a URL.

    STREAM is a presigned token, or a stream's id with --token. Each level of --concurrency (1
    unless given) or --rate is measured until three windows in a row agree. Latencies of an open
    loop count from when a request was due, also while it waited for a connection; those of a
    closed loop are shown as measured, and corrected for what a stalled connection did not ask.
    Ctrl-C prints what has been measured so far.
    """
    if given["concurrency"] and given["rate"]:
        raise click.UsageError("Give either --concurrency or --rate.")
    if max(given["concurrency"] or (1,)) > _MOST_CONNECTIONS:
        raise click.UsageError(f"--concurrency is at most {_MOST_CONNECTIONS}.")
    from hookline.bench.session import Session  # noqa: PLC0415 - help needs none

    goal, files = given.pop("slo"), (given.pop("csv_file"), given.pop("html_file"))
    _check_writable(files)
    found = _replica if given.pop("is_direct") else _target
    session = Session(_plan(found(shell, target, given["token"]), given), _tell)
    word = "What has been measured so far is above."
    try:
        with exits.on_interrupt(word):
            session.run()
    finally:
        if session.levels:
            _show(shell, session.levels)
            _write(session.levels, _settings(session.plan), files)
    _judge(session.levels, goal)


def _check_writable(files: Sequence[str | None]) -> None:
    """Raise now what would lose the report of a long measurement at its end."""
    from hookline.client.files import check_place  # noqa: PLC0415 - help needs none

    for name in files:
        if name:
            check_place(Path(name))


def _target(shell: Shell, target: str, token: str) -> Target:
    from hookline.bench.target import Target  # noqa: PLC0415 - help needs none
    from hookline.core import profiles  # noqa: PLC0415 - as above

    if "/" in target:
        return Target.of(target, token)
    endpoint = profiles.load(shell.config).endpoint.rstrip("/")
    if target.isascii() and target.isdigit() and len(target) <= len("1234567890"):
        if not token:
            raise BadRequest(
                f"Stream {target} takes its token.",
                hint=f"Give the one that `hookline model deploy` printed: "
                f"hookline bench {target} --token TOKEN.",
            )
        return Target.of(f"{endpoint}/streams/{target}/predict", token)
    return Target.of(f"{endpoint}/predict", target)


def _replica(shell: Shell, target: str, _: str) -> Target:
    """A replica of the stream on this machine. It gets no token: its socket's mode guards it."""
    from hookline.bench.target import Target  # noqa: PLC0415 - help needs none
    from hookline.client.replica import here  # noqa: PLC0415 - as above

    if not (target.isascii() and target.isdigit()):
        raise click.UsageError("--direct takes the id of a stream.")
    with shell.client() as cloud:
        return Target.of(here(int(target), cloud.stream(int(target)).addresses))


def _plan(target: Target, given: dict[str, Any]) -> Plan:
    from hookline.bench.session import Plan  # noqa: PLC0415 - help needs none

    bodies, mime_type = _bodies(given)
    names = ("arrivals", "connections", "warmup_s", "window_s", "max_windows", "percentile")
    levels = given["rate"] or given["concurrency"] or (1,)
    if not given["rate"] and any(level != int(level) for level in levels):
        raise click.UsageError("--concurrency takes whole numbers.")
    return Plan(
        target=target,
        bodies=bodies,
        mime_type=mime_type,
        levels=levels,
        is_open=bool(given["rate"]),
        tolerance=given["stability"] / 100,
        duration_s=given["duration_s"] or 0.0,
        **{name: given[name] for name in names},
    )


def _bodies(given: dict[str, Any]) -> tuple[Sequence[bytes], str]:
    from hookline.bench.inputs import generated  # noqa: PLC0415 - help needs none
    from hookline.cli.inputs import input_file  # noqa: PLC0415 - as above
    from hookline.core.names import mime_type_of  # noqa: PLC0415 - as above

    inputs, shape, mime_type = given["inputs"], given["shape"], given["mime_type"]
    if bool(inputs) == bool(shape):
        raise click.UsageError("Say what to send: either --input FILE or --shape N,N.")
    if shape:
        return generated(mime_type or _JSON, shape, _GENERATED), mime_type or _JSON
    types = {mime_type or mime_type_of(name) for name in inputs}
    if len(types) > 1:
        raise click.UsageError(f"The files are of different types: {', '.join(sorted(types))}.")
    return [input_file(name).read_bytes() for name in inputs], types.pop()


_GENERATED = 8  # different bodies, in turn


def _tell(level: float, windows: Sequence[Window]) -> None:
    """A line on stderr after each window."""
    last = windows[-1]
    failed = sum(last.seen.statuses.values()) - len(last.seen.latencies_s)
    exits.say(
        f"{level:g}, window {len(windows)}: {last.per_s:,.1f} requests/s, "
        f"p50 {last.latency_ms(50):.3f} ms, p99 {last.latency_ms(99):.3f} ms"
        + (f", {failed} failed" if failed else "")
    )


def _show(shell: Shell, levels: Sequence[Level]) -> None:
    from hookline.bench import report  # noqa: PLC0415 - help needs none
    from hookline.cli import output  # noqa: PLC0415 - as above

    if shell.query:
        shell.show_all([level.as_json() for level in levels], ())
    elif shell.output == "csv":
        click.echo(report.perf_analyzer_csv(levels), nl=False)
    elif shell.output == "table":
        rows = report.rows(levels)
        for line in output.table(rows, tuple(rows[0])):
            click.echo(line)
    else:
        values = [level.as_json() for level in levels]
        texts = (
            map(json.dumps, values) if shell.output == "jsonl" else [json.dumps(values, indent=2)]
        )
        for text in texts:
            click.echo(text)
    for level in levels:
        for note in level.notes:
            exits.say(f"{level.load:g}: {note}.")


def _settings(plan: Plan) -> dict[str, str]:
    loop = f"open, {plan.arrivals}" if plan.is_open else "closed"
    length = f"{plan.duration_s:g} s" if plan.duration_s else f"windows of {plan.window_s:g} s"
    sizes = sorted({len(body) for body in plan.bodies})
    return {
        "target": str(plan.target),
        "loop": loop,
        "measured": length,
        "warm-up": f"{plan.warmup_s:g} s",
        "body": f"{plan.mime_type}, {sizes[0]:,} to {sizes[-1]:,} bytes",
    }


def _write(
    levels: Sequence[Level], settings: dict[str, str], files: tuple[str | None, str | None]
) -> None:
    from hookline.bench import report  # noqa: PLC0415 - help needs none
    from hookline.bench.page import page  # noqa: PLC0415 - as above

    csv_file, html_file = files
    if csv_file:
        Path(csv_file).write_text(report.perf_analyzer_csv(levels), encoding="utf-8")
    if html_file:
        title = f"hookline bench {settings['target']}"
        Path(html_file).write_text(page(title, settings, levels), encoding="utf-8")


def _judge(levels: Sequence[Level], goal: tuple[float, float] | None) -> None:
    """Raise where nothing was answered, or the goal is missed."""
    if not any(len(level.latencies_ms) for level in levels):
        raise HooklineError("The target did not answer one request well.")
    if goal is None:
        return
    percent, most_ms = goal
    missed = [level for level in levels if level.percentile_ms(percent) > most_ms or level.failed]
    for level in levels:
        verdict = "missed" if level in missed else "met"
        found = f"{level.percentile_ms(percent):.3f} ms"
        exits.say(f"{level.load:g}: p{percent:g} {found}, goal {most_ms:g} ms {verdict}.")
    if missed:
        raise click.exceptions.Exit(exits.OTHER)
