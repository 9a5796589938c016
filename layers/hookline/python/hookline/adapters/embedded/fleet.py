"""Fleet of subprocesses of this process, for a single machine."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hookline.adapters.embedded import logs
from hookline.adapters.embedded.child import Child
from hookline.adapters.embedded.children import Children, Command
from hookline.adapters.embedded.runs import discard, prepare, run_folder
from hookline.adapters.embedded.wish import Wish
from hookline.core.errors import HooklineError, Unavailable
from hookline.core.ports import Failure, Group, Process

log = logging.getLogger(__name__)

_STARTING_POLL_S, _IDLE_POLL_S = 0.02, 1.0
_CLOSE_SLACK_S = 10.0


class ProcessFleet:
    """Starts, watches and ends processes in one thread of its own.

    That thread lives as long as the fleet, because the kernel ties a child to the thread that
    started it. It calls `on_change` whenever a process became ready, began to drain or ended.

    One of several that is no longer wanted goes on for `linger_s`, until nobody asks it any more.
    """

    def __init__(
        self,
        home: Path,
        command: Command,
        *,
        clock: Callable[[], float] = time.time,
        drain_s: float = 30.0,
        start_s: float = 600.0,
        linger_s: float = 3.0,
    ) -> None:
        self.on_change: Callable[[], object] = lambda: None
        self._runs = run_folder(home)
        self._children = Children(self._runs, home / "logs", command)
        self._clock, self._drain_s, self._start_s = clock, drain_s, start_s
        self._linger_s = linger_s
        self._lock = threading.Lock()
        self._wishes: dict[tuple[str, str], Wish] = {}
        self._thread: threading.Thread | None = None
        self._is_closing = False

    def ensure(self, group: Group) -> None:
        with self._lock:
            if self._is_closing:
                raise Unavailable("hookline is shutting down.", hint="Retry when it is up again.")
            if self._thread is None:
                self._thread = self._begin()
            self._wishes.setdefault((group.tenant, group.name), Wish(group)).group = group
            self._children.wake()

    def observe(self, tenant: str = "", group: str = "") -> Sequence[Process]:
        with self._lock:
            known = [child.described() for child in self._children]
            known += [wish.last_exited for wish in self._wishes.values() if wish.last_exited]
        return [p for p in known if tenant in ("", p.tenant) and group in ("", p.group)]

    def remove(self, tenant: str, group: str) -> None:
        with self._lock:
            if self._wishes.pop((tenant, group), None):
                for child in self._children:
                    # At once: the same group may be asked for again before the thread looks.
                    if child.runs and child.place == (tenant, group):
                        child.drain(kill_at=time.monotonic() + self._drain_s)
                self._children.wake()

    def logs(self, tenant: str, group: str, *, after: int = 0) -> tuple[Sequence[str], int]:
        return logs.read(self._children.log_folder(tenant, group), after)

    def close(self) -> None:
        """Drain every process, kill those that stay, and stop supervising."""
        with self._lock:
            if self._is_closing:
                return
            self._is_closing = True
            self._wishes.clear()
            self._children.wake()
        if self._thread:
            self._thread.join(self._drain_s + _CLOSE_SLACK_S)
            if self._thread.is_alive():
                log.error("processes_stay", extra={"count": len(list(self._children))})
                return
        self._children.close()
        discard(self._runs)

    def _begin(self) -> threading.Thread:
        prepare(self._runs)
        thread = threading.Thread(target=self._supervise, name="fleet", daemon=True)
        thread.start()
        return thread

    def _supervise(self) -> None:
        while not self._is_done():
            try:
                self._children.wait(self._patience_s(time.monotonic()))
                if self._settle(time.monotonic()):
                    self.on_change()
            except Exception:  # the edge of this thread: its end would end every process
                log.exception("supervision_failed")
                time.sleep(_IDLE_POLL_S)

    def _is_done(self) -> bool:
        with self._lock:
            return self._is_closing and not list(self._children)

    def _patience_s(self, now: float) -> float:
        """How long nothing can be due."""
        with self._lock:
            leaving = [child for child in self._children if child.state == "draining"]
            due = [child.leave_at or child.kill_at for child in leaving]
            due += [wish.retry_at for wish in self._wishes.values() if wish.retry_at > now]
            is_starting = any(child.state == "starting" for child in self._children)
        most = _STARTING_POLL_S if is_starting else _IDLE_POLL_S
        return max(0.0, min([most, *(at - now for at in due)]))

    def _settle(self, now: float) -> bool:
        """Bring what runs closer to what is wished; whether anyone may want to look."""
        with self._lock:
            ended = self._children.reap()
            for child in ended:
                self._bury(child, now)
            became_ready = [child for child in self._children if child.look(now)]
            retired = [child for child in list(self._children) if self._retire(child, now)]
            could_not_start = [wish for wish in self._wishes.values() if self._fill(wish, now)]
            return bool(ended or became_ready or retired or could_not_start)

    def _bury(self, child: Child, now: float) -> None:
        wish = self._wishes.get(child.place)
        if child.runs and wish:
            self._note_end(wish, child.described(), child.failure(), child.healthy_s(now), now)
        child.remove_files()

    def _note_end(
        self, wish: Wish, process: Process, failure: Failure, healthy_s: float, now: float
    ) -> None:
        wait_s = wish.note_end(process, failure, healthy_s, now)
        line = f"[hookline] {failure.message} It is started again in {wait_s:.1f} s."
        self._children.say(wish.group, line.encode(errors="replace"))
        log.warning(
            "process_ended",
            extra={"tenant": process.tenant, "group": process.group, "why": failure.message},
        )

    def _retire(self, child: Child, now: float) -> bool:
        """Drain it if nobody wants it, end it if it drains or starts too long.

        Whether it began to drain.
        """
        is_alone = child.place not in self._wishes
        if child.runs and child not in self._wanted(child.place):
            if is_alone:
                child.drain(kill_at=now + self._drain_s)
            else:
                child.linger(leave_at=now + self._linger_s)
            return True
        if child.leave_at and (is_alone or now >= child.leave_at):
            child.drain(kill_at=now + self._drain_s)
        elif child.state == "draining" and now >= child.kill_at:
            child.kill()
            child.kill_at = now + _IDLE_POLL_S  # the kernel may take its time
        elif child.state == "starting" and child.age_s(now) > self._start_s:
            child.give_up(self._start_s)
        return False

    def _wanted(self, place: tuple[str, str]) -> list[Child]:
        """The oldest that are as wished, up to the number that is wished."""
        wish = self._wishes.get(place)
        if wish is None:
            return []
        fitting = [c for c in self._children if c.runs and c.place == place]
        return [c for c in fitting if wish.asks_for(c.group)][: wish.group.count]

    def _fill(self, wish: Wish, now: float) -> bool:
        """Start what is missing, unless it is too soon. Whether a start has failed."""
        group = wish.group
        running = len(self._wanted((group.tenant, group.name)))
        if now < wish.retry_at:
            return False
        for _ in range(running, group.count):
            try:
                self._children.start(group, self._clock())
            except (OSError, HooklineError) as error:
                failure = Failure(Unavailable.code, f"No process can be started: {error}.")
                process = Process(group.tenant, group.name, "", "exited")
                self._note_end(wish, process, failure, 0.0, now)
                return True
        return False
