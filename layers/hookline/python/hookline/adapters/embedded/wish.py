"""A group as it should be, and how its processes have fared so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hookline.core.ports import Failure, Group, Process

_FIRST_BACKOFF_S, _MAX_BACKOFF_S, _HEALTHY_S = 0.2, 30.0, 60.0
_MAX_DOUBLINGS = 10


@dataclass(slots=True)
class Wish:
    """Times are monotonic seconds."""

    group: Group
    failures: int = 0
    retry_at: float = 0.0
    last_exited: Process | None = None

    def asks_for(self, group: Group) -> bool:
        """Whether a process of `group` is as those that are wanted, whatever their number."""
        return replace(group, count=0) == replace(self.group, count=0)

    def note_end(self, process: Process, failure: Failure, healthy_s: float, now: float) -> float:
        """Remember an end nobody asked for; return the seconds until the next start."""
        self.last_exited = replace(process, state="exited", failure=failure)
        if healthy_s >= _HEALTHY_S:
            self.failures = 0
        wait_s = min(_FIRST_BACKOFF_S * 2.0 ** min(self.failures, _MAX_DOUBLINGS), _MAX_BACKOFF_S)
        self.failures += 1
        self.retry_at = now + wait_s
        return wait_s
