"""How a process ended, in words."""

from __future__ import annotations

import signal

_SIGNALLED = 128  # a sandbox ends with 128 + N when signal N ended what ran inside, as shells do


def ending(returncode: int) -> str:
    """`died with SIGSEGV` or `ended with exit code 3`, from what subprocess reports."""
    number = -returncode if returncode < 0 else returncode - _SIGNALLED
    if number <= 0:
        return f"ended with exit code {returncode}"
    try:
        return f"died with {signal.Signals(number).name}"
    except ValueError:
        return f"died with signal {number}"
