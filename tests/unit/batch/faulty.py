"""Ports whose n-th call goes wrong, in the ways that calls go wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, BinaryIO, Literal, Self

from hookline.core.errors import Unavailable
from hookline.core.ports import BlobWriter, Ports
from tests.fakes import FakeClock

Mode = Literal["refused", "unknown", "killed before", "killed after", "repeated", "late"]
MODES: tuple[Mode, ...] = (
    "refused",
    "unknown",
    "killed before",
    "killed after",
    "repeated",
    "late",
)

LATE_S = 61  # past every lease of a worker

_ONCE = frozenset(
    ("__enter__", "write", "__exit__", "read", "readline", "__next__")
)  # steps of one stream, which no client repeats


class Killed(BaseException):
    """Ends a process as SIGKILL does: nothing is caught, nothing is acked."""


class Fault:
    """Counts calls from 1; those in `modes` go wrong.

    refused: an error, no effect. unknown: an error after the effect. killed: the process ends
    before or after the effect. repeated: the call is made twice and the second answer counts, as
    when a client retries on its own. late: a lease ends before the call.
    """

    def __init__(self, modes: Mapping[int, Mode], clock: FakeClock) -> None:
        self._modes, self._clock = modes, clock
        self._lock = threading.Lock()
        self.calls = 0

    @property
    def has_fired(self) -> bool:
        return self.calls >= max(self._modes, default=0)

    def on(self, ports: Ports) -> Ports:
        """The same ports, with this fault in all their calls, those of the clock included."""
        return replace(
            ports,
            catalog=_faulty(ports.catalog, self),
            blobs=_faulty(ports.blobs, self),
            queue=_faulty(ports.queue, self),
            clock=lambda: self.call(ports.clock),
        )

    def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            self.calls += 1
            mode = self._modes.get(self.calls, "")
        self._before(mode)
        answer = method(*args, **kwargs)
        if mode == "repeated" and getattr(method, "__name__", "") not in _ONCE:
            _forget(answer)
            answer = method(*args, **kwargs)
        if mode in ("unknown", "killed after"):
            _forget(answer)
            raise Killed if mode == "killed after" else Unavailable("There was no answer.")
        return answer

    def _before(self, mode: str) -> None:
        if mode == "refused":
            raise Unavailable("The storage is busy.")
        if mode == "killed before":
            raise Killed
        if mode == "late":
            self._clock.advance(LATE_S)


def _forget(answer: Any) -> None:
    """Nobody will use it; a file must be closed all the same."""
    if hasattr(answer, "close"):
        answer.close()


def _faulty(port: Any, fault: Fault) -> Any:
    return _Faulty(port, fault)


class _Faulty:
    def __init__(self, port: Any, fault: Fault) -> None:
        self._port, self._fault = port, fault

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._port, name)
        if name == "writer":
            return self._writer
        if name == "open":
            return self._reader
        return lambda *args, **kwargs: self._fault.call(method, *args, **kwargs)

    def _reader(self, key: str) -> _FaultyFile:
        return _FaultyFile(self._fault.call(self._port.open, key), self._fault)

    @contextmanager
    def _writer(self, key: str, *, if_absent: bool = False) -> Iterator[BlobWriter]:
        """Opening, each piece and publishing are calls of their own."""
        blob: AbstractContextManager[BlobWriter] = self._port.writer(key, if_absent=if_absent)
        opened = self._fault.call(blob.__enter__)
        try:
            yield _Faulty(opened, self._fault)
        except BaseException as error:
            blob.__exit__(type(error), error, error.__traceback__)
            raise
        self._fault.call(blob.__exit__, None, None, None)


class _FaultyFile:
    """An open blob: each piece and each line that is read is a call of its own."""

    def __init__(self, file: BinaryIO, fault: Fault) -> None:
        self._file, self._fault = file, fault

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        line: bytes = self._fault.call(self._file.__next__)
        return line

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._file, name)
        if name not in ("read", "readline"):
            return method
        return lambda *args: self._fault.call(method, *args)
