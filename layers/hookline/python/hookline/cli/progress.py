"""How far something is, on stderr: a bar for a person, a line every ten seconds for a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console

LINE_EVERY_S = 10.0


class Progress(Protocol):
    """`total` may be unknown (0) at first and may grow; `note` follows the figures."""

    def show(self, done: int, total: int, note: str = "") -> None: ...


class Lines:
    """For a log: at most a line every ten seconds, so nothing for what is quick."""

    def __init__(
        self, label: str, unit: str, file: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label, self._unit, self._file, self._clock = label, unit, file, clock
        self._began_s = self._spoke_s = clock()
        self._began_done: int | None = None  # work that was done before anyone looked

    def show(self, done: int, total: int, note: str = "") -> None:
        now_s = self._clock()
        if self._began_done is None:
            self._began_s, self._began_done = now_s, done
        if now_s - self._spoke_s < LINE_EVERY_S:
            return
        self._spoke_s = now_s
        rate = (done - self._began_done) / max(now_s - self._began_s, 1e-9)
        left = f"{(total - done) / rate:,.0f} s left" if rate and total else ""
        parts = (
            f"{done:,}/{total or '?':,} {self._unit}" if total else f"{done:,} {self._unit}",
            f"{rate:,.0f} {self._unit}/s",
            left,
            note,
        )
        print(f"{self._label}: {', '.join(part for part in parts if part)}", file=self._file)
        self._file.flush()


@contextmanager
def progress(label: str, unit: str) -> Iterator[Progress]:
    """Show how far the block is; a bar disappears at its end."""
    if sys.stderr.isatty():
        from rich.console import Console  # noqa: PLC0415 - costs 40 ms, most calls show no bar

        console = Console(stderr=True)
        if not console.is_dumb_terminal:
            with _bar(label, unit, console) as bar:
                yield bar
            return
    yield Lines(label, unit, sys.stderr)


@contextmanager
def _bar(label: str, unit: str, console: Console) -> Iterator[Progress]:
    from rich import progress as rich  # noqa: PLC0415 - as above

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.TextColumn(f"{{task.completed:,.0f}}/{{task.total:,.0f}} {unit}"),
        rich.TextColumn("{task.fields[speed]}"),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[note]}"),
    )
    with rich.Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(label, total=0, note="", speed="")
        is_begun = False

        class Bar:
            """The bar of this block; what was done before it began does not count for its speed."""

            def show(self, done: int, total: int, note: str = "") -> None:
                nonlocal is_begun
                if not is_begun:
                    is_begun = True
                    shown.reset(task, completed=done, total=total)
                rate = shown.tasks[0].finished_speed or shown.tasks[0].speed
                speed = f"{rate:,.0f} {unit}/s" if rate else ""
                shown.update(task, completed=done, total=total, note=note, speed=speed)

        yield Bar()
