"""Where the scripts begin, with as little loaded as can be.

From its first line on, Ctrl-C ends a script with 130 and no traceback: until the command line is
there to say a word about it, and again when it is done.
"""

from __future__ import annotations

import os
import signal
import sys

INTERRUPTED = 130


def hookline() -> None:
    """Entry point of the script `hookline`."""
    _run("hookline")


def ncloud() -> None:
    """Entry point of the script `ncloud`."""
    _run("ncloud")


def version() -> str:
    """What --version prints: build, Python and platform."""
    import platform  # noqa: PLC0415 - brings re, help needs none

    import hookline as package  # noqa: PLC0415 - its name is the script's here

    python = platform.python_version()
    return f"hookline {package.__version__} (Python {python}, {platform.platform()})"


def _run(name: str) -> None:
    may_stop = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if may_stop:
        signal.signal(signal.SIGINT, _leave)
    if sys.argv[1:] == ["--version"]:
        _print_version()
        return
    from hookline.cli.main import SCRIPTS  # noqa: PLC0415 - what Ctrl-C may interrupt

    try:
        if may_stop:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        SCRIPTS[name].main(prog_name=name)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)
    finally:
        if may_stop:
            signal.signal(signal.SIGINT, _leave)


def _print_version() -> None:
    try:
        print(version(), flush=True)
    except OSError as error:
        from hookline.cli import exits  # noqa: PLC0415 - brings click

        sys.exit(exits.report(error, is_debugging=False))


def _leave(_signal: int, _frame: object) -> None:
    os._exit(INTERRUPTED)
