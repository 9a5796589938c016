"""How a command ends: the exit code of every error, and its sentences on stderr.

0 ok · 1 other · 2 usage · 3 not found · 4 not allowed · 5 conflict · 6 invalid input ·
7 throttled · 8 server or model failed · 9 too late · 10 some rows failed · 130 interrupted ·
143 terminated while waiting
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from hookline.cli import start
from hookline.core.errors import HooklineError

OK, OTHER, USAGE, NOT_FOUND, SERVER, LATE, FAILED_ROWS = 0, 1, 2, 3, 8, 9, 10
INTERRUPTED, TERMINATED = start.INTERRUPTED, 143
BY_CODE = {"bad_request": USAGE, "idempotency_mismatch": 5}
BY_STATUS = {401: 4, 403: 4, 404: NOT_FOUND, 409: 5, 413: 6, 415: 6, 422: 6, 429: 7, 504: LATE}


class Interrupted(Exception):
    """Ctrl-C or SIGTERM during something that has a word to say about it."""

    def __init__(self, sentence: str, code: int = INTERRUPTED) -> None:
        super().__init__(sentence, code)
        self.sentence, self.code = sentence, code


class _Terminated(KeyboardInterrupt):
    """SIGTERM, where it is to be heard as Ctrl-C is."""


class ReaderGone(Exception):
    """Whoever reads our output has stopped; that is no failure of ours."""


@contextmanager
def on_interrupt(sentence: str) -> Iterator[None]:
    """Say `sentence` when the block is stopped with Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt as stop:
        code = TERMINATED if isinstance(stop, _Terminated) else INTERRUPTED
        raise Interrupted(sentence, code) from stop


@contextmanager
def on_stop(sentence: str) -> Iterator[None]:
    """Say `sentence` after SIGTERM as well. An event loop would not hear of it: run none inside."""
    former = signal.signal(signal.SIGTERM, _terminate)
    try:
        with on_interrupt(sentence):
            yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _terminate(_signal: int, _frame: object) -> None:
    raise _Terminated


def code_of(error: HooklineError) -> int:
    """The exit code that stands for an error."""
    return BY_CODE.get(error.code) or BY_STATUS.get(error.status, SERVER)


def report(error: BaseException, *, is_debugging: bool, about: str = "") -> int:
    """Tell a person what went wrong (with `about`), the hint last; answer the exit code."""
    if is_debugging:
        import traceback  # noqa: PLC0415 - only here

        traceback.print_exception(error)
    if isinstance(error, ReaderGone | BrokenPipeError):
        _stop_writing()
        return OK
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, click.Abort | KeyboardInterrupt):
        error = Interrupted("Interrupted.")
    if isinstance(error, Interrupted):
        say(error.sentence)
        return error.code
    if isinstance(error, HooklineError):
        _explain(error, about)
        return code_of(error)
    return _unforeseen(error)


def say(sentence: str) -> None:
    """Everything that is not data goes to stderr."""
    click.echo(sentence, err=True)


def _explain(error: HooklineError, about: str) -> None:
    start = f"Error: {about}:" if about else "Error:"
    say(" ".join(part for part in (start, error.what, error.why) if part))
    for line in error.trace.rstrip().splitlines():
        say(f"  {line}" if line else "")
    if error.hint:
        say(f"Hint: {error.hint}")


def _unforeseen(error: BaseException) -> int:
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        say(f"Error: {place}{error.strerror or error}.")
        if place:
            say("Hint: Check the path, and that you may use it.")
        _drop_what_cannot_be_written()
        return NOT_FOUND if isinstance(error, FileNotFoundError) else OTHER
    say(f"Error: {type(error).__name__}: {error}. This is a fault of hookline.")
    say("Hint: HOOKLINE_LOG_LEVEL=DEBUG shows where; please report it with that.")
    return OTHER


def _drop_what_cannot_be_written() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _stop_writing()


def _stop_writing() -> None:
    """Point stdout at nothing, so that the flush at exit does not complain."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is not a file of the system
        return
