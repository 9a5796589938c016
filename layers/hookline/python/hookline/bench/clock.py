"""Wakes an event loop at a time exact to some microseconds: its own timers know milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import Callable

_MONOTONIC, _NONBLOCK_CLOEXEC, _ABSOLUTE = 1, 0o2000000 | 0o4000, 1
_NS = 1_000_000_000


class _Spec(ctypes.Structure):
    """struct itimerspec of timerfd_settime(2)."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Alarm:
    """Calls `ring` in the loop at the time of `set`, on the clock of time.monotonic."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = -1

    def open(self) -> None:
        """Be ready, in the loop that runs."""
        self._descriptor = self._libc.timerfd_create(_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        asyncio.get_running_loop().add_reader(self._descriptor, self._rung)

    def set(self, at_s: float) -> None:
        """Ring at `at_s`, or at once if that is over."""
        at_ns = max(int(at_s * _NS), time.monotonic_ns() + 1)
        spec = _Spec(0, 0, at_ns // _NS, at_ns % _NS)
        self._libc.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(spec), None)

    def close(self) -> None:
        """Never ring again."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _rung(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 8)
        self._ring()
