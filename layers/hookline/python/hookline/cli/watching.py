"""A stream's traffic, looked at again and again: one place in a terminal, a line each in a pipe."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hookline.cli import output

if TYPE_CHECKING:
    from hookline import Client
    from hookline.cli.query import Query
    from hookline.client.views import Traffic

COLUMNS = (
    "time",
    "status",
    "requests_per_s",
    "failed_per_s",
    "p50_ms",
    "p99_ms",
    "queue_ms",
    "batch_items",
    "in_flight",
    "replicas",
)
OVER = frozenset({"Undeployed", "Failed"})

Row = dict[str, Any]


def watch_stream(
    cloud: Client,
    stream_id: int,
    *,
    form: str,
    query: Query | None,
    every_s: float,
    times: int | None,
) -> None:
    """Print its traffic every `every_s` seconds, `times` times or until the stream is over."""
    rows = islice(_rows(cloud, stream_id, every_s), times)
    if form == "table" and not query and _has_screen():
        _in_one_place(rows, stream_id)
        return
    found = (line for row in rows for line in query.lines(row, form)) if query else None
    for line in found or _lines(rows, form):
        click.echo(line)
        sys.stdout.flush()


def _rows(cloud: Client, stream_id: int, every_s: float) -> Iterator[Row]:
    while True:
        traffic = cloud.traffic(stream_id)
        yield _row(traffic)
        if traffic.status in OVER:
            return
        time.sleep(every_s)


def _row(traffic: Traffic) -> Row:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"time": now, **msgspec.to_builtins(traffic)}


def _lines(rows: Iterator[Row], form: str) -> Iterator[str]:
    """One line for each look; the header comes once."""
    if form in ("json", "jsonl"):
        yield from map(json.dumps, rows)
    elif form == "id":
        yield from (str(row["id"]) for row in rows)
    else:
        for at, row in enumerate(rows):
            shown = list(output.table([_short(row)], COLUMNS) if form == "table" else _csv(row))
            yield from shown if at == 0 else shown[1:]


def _csv(row: Row) -> Iterator[str]:
    yield from "\n".join(output.many([row], "csv", ())).splitlines()


def _short(row: Row) -> Row:
    ready = f"{row['ready_replicas']}/{row['replicas']}"
    return {**row, "time": row["time"][11:19], "replicas": ready}


def _has_screen() -> bool:
    if not sys.stdout.isatty():
        return False
    from rich.console import Console  # noqa: PLC0415 - costs 40 ms, and only here

    return not Console().is_dumb_terminal


def _in_one_place(rows: Iterator[Row], stream_id: int) -> None:
    from rich.live import Live  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above

    with Live(auto_refresh=False) as screen:
        for row in rows:
            table = Table(title=f"Stream {stream_id}, {row['status']}")
            names = [name for name in COLUMNS if name != "status"]
            for name in names:
                table.add_column(name, justify="right")
            short = _short(row)
            table.add_row(*(output.cell(name, short[name]) for name in names))
            screen.update(table, refresh=True)
