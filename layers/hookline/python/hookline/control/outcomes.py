"""What became of a file that landed: read off the records, so that it is never out of date."""

from __future__ import annotations

from collections.abc import Mapping

from hookline.control.caller import Call
from hookline.core.triggers import Burst, Drop, Trigger, burst_key
from hookline.core.views.triggers import DropView

TURNED_OFF = "Its trigger was turned off before its job began."


class Outcomes:
    """The bursts of some drops, each read once."""

    def __init__(self, call: Call, triggers: Mapping[int, Trigger]) -> None:
        self._call, self._triggers = call, triggers
        self._jobs: dict[tuple[int, int], int | None] = {}

    def of(self, drop: Drop) -> DropView:
        """Taken by a job, or not and why; a burst that waits can still become one."""
        trigger = self._triggers[drop.trigger_id]
        if drop.reason:
            return DropView.of(drop, "ignored", None, drop.reason)
        job_id = drop.job_id or self._job(drop)
        if job_id is not None:
            is_starter = trigger.gathering.is_started_by(drop.name)
            return DropView.of(drop, "starter" if is_starter else "taken", job_id, "")
        if not trigger.is_on:
            return DropView.of(drop, "ignored", None, TURNED_OFF)
        return DropView.of(drop, "waiting", None, _awaited(trigger, drop))

    def _job(self, drop: Drop) -> int | None:
        if drop.burst is None:
            return None
        place = (drop.trigger_id, drop.burst)
        if place not in self._jobs:
            burst = self._call.ports.catalog.get(Burst, drop.tenant, burst_key(*place))
            self._jobs[place] = burst.job_id if burst else None
        return self._jobs[place]


def _awaited(trigger: Trigger, drop: Drop) -> str:
    gathering = trigger.gathering
    if drop.burst is None or gathering.starter:
        return f"Its job begins when a {gathering.starter} lands, if this version is there then."
    return (
        f"Its job begins once no file came for {gathering.settle_s} s, "
        f"at most {gathering.max_wait_s} s after the first one."
    )
