"""Measures one level of load after the other, each until its last windows agree."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx2
import uvloop

from hookline.bench.load import Arrivals, Closed, Load, Open
from hookline.bench.results import STABLE_WINDOWS, Level, Window, is_stable
from hookline.bench.target import Target
from hookline.core.errors import (
    HooklineError,
    InvalidInput,
    NotFound,
    Unauthenticated,
    Unavailable,
    from_problem,
)

_FIRST_ANSWER_S = 60.0
_LOOK_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send, at which levels, for how long.

    `levels` are concurrencies, or rates of an open loop. `percentile` decides on stability; None is
    the mean. With `duration_s` a level is one window of that length.
    """

    target: Target
    bodies: Sequence[bytes]
    mime_type: str
    levels: Sequence[float]
    is_open: bool = False
    arrivals: Arrivals = "poisson"
    connections: int = 512
    warmup_s: float = 1.0
    window_s: float = 2.0
    max_windows: int = 10
    tolerance: float = 0.1
    percentile: float | None = None
    duration_s: float = 0.0


Progress = Callable[[float, Sequence[Window]], None]
"""Gets the level and its windows, after each of them."""


class Session:
    """`levels` holds what has been measured, also after Ctrl-C."""

    def __init__(self, plan: Plan, progress: Progress) -> None:
        self.plan, self._progress = plan, progress
        self.levels: list[Level] = []

    def run(self) -> None:
        """Measure all levels. Raise what keeps the target from answering at all."""
        first_answer(self.plan)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        for level in self.plan.levels:
            await self._measure(level)

    async def _measure(self, level: float) -> None:
        plan, windows, is_whole = self.plan, list[Window](), False
        load = self._load(level)
        try:
            await load.start()
            await asyncio.sleep(plan.warmup_s)
            load.take()
            for seconds in self._windows():
                windows.append(await _window(load, seconds))
                self._progress(level, windows)
                if is_stable(windows, plan.tolerance, plan.percentile):
                    break
            is_whole = True
        except asyncio.CancelledError:
            windows.append(_seen(load, 0.0))
            raise
        finally:
            load.stop()
            if windows:
                self._keep(level, windows, is_whole=is_whole)

    def _windows(self) -> Iterator[float]:
        plan = self.plan
        yield from [plan.duration_s] if plan.duration_s else [plan.window_s] * plan.max_windows

    def _keep(self, level: float, windows: Sequence[Window], *, is_whole: bool) -> None:
        plan = self.plan
        agree = bool(plan.duration_s) or is_stable(windows, plan.tolerance, plan.percentile)
        stable = is_whole and agree
        last = windows[-STABLE_WINDOWS:]
        self.levels.append(Level.of(is_open=plan.is_open, load=level, windows=last, stable=stable))

    def _load(self, level: float) -> Load:
        plan = self.plan
        if plan.is_open:
            return Open(
                plan.target, plan.bodies, plan.mime_type, level, plan.arrivals, plan.connections
            )
        return Closed(plan.target, plan.bodies, plan.mime_type, int(level))


async def _window(load: Load, seconds: float) -> Window:
    """What is seen in so many seconds, and until the first answer where that takes longer."""
    began_cpu_s = time.thread_time()
    await asyncio.sleep(seconds)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_ANSWER_S):
            while not load.has_answers:  # noqa: ASYNC110 - the load may not know of waiting
                await asyncio.sleep(_LOOK_S)
    return _seen(load, time.thread_time() - began_cpu_s)


def _seen(load: Load, cpu_s: float) -> Window:
    seen = load.take()
    seconds = max(time.monotonic() - seen.began_s, 1e-9)
    return Window(seconds, seen, cpu_s / seconds)


def first_answer(plan: Plan) -> None:
    """Ask once with each body. Raise what the target says, if it is not a good answer."""
    target = plan.target
    headers = {"Content-Type": plan.mime_type}
    headers |= {"Authorization": f"Bearer {target.token}"} if target.token else {}
    place = f"http://replica{target.path}" if target.unix_socket else str(target)
    transport = httpx2.HTTPTransport(uds=target.unix_socket or None)
    with httpx2.Client(transport=transport, trust_env=False, timeout=_FIRST_ANSWER_S) as client:
        for body in plan.bodies:
            try:
                answer = client.post(place, content=body, headers=headers)
            except httpx2.TransportError as error:
                raise Unavailable(
                    f"Nothing answers at {target}.",
                    why=f"{error}.",
                    hint="Start it, or look at the address and the port.",
                ) from error
            if not answer.is_success:
                raise _refusal(target, answer)


def _refusal(target: Target, answer: httpx2.Response) -> HooklineError:
    """What the target says, in its own words where it is one of ours."""
    try:
        error = from_problem(answer.json())
    except (ValueError, KeyError, TypeError, AttributeError):
        what = f"{target} answers with {answer.status_code}."
        return _KINDS.get(answer.status_code, HooklineError)(what, hint=_LOOK)
    return type(error)(error.what, why=error.why, hint=_HINTS.get(answer.status_code, error.hint))


_LOOK = "Send the same with curl to see why; a replica answers POST /predict."
_HINTS = {
    401: "Give the token that it takes with --token.",
    415: "Say with --mime-type what the input is.",
    422: "Send what the model takes: --input FILE, or another --shape.",
}
_KINDS = {401: Unauthenticated, 404: NotFound, 422: InvalidInput}
