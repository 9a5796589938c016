"""What the tasks of a group have printed, from CloudWatch Logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.errors import call, pages
from hookline.adapters.aws.settings import FleetSettings
from hookline.core.errors import NotFound

MAX_LINES = 10_000
SETTLE_S = 2  # lines of several tasks arrive out of order; those this old are all there

_TAIL_LINES, _TAIL_CHARS = 20, 64 * 1024

Line = tuple[int, str]
"""UTC epoch milliseconds, and what was printed."""


class TaskLogs:
    """Each task has a log stream of its own, named after it."""

    def __init__(
        self, clients: Clients, settings: FleetSettings, clock: Callable[[], float] = time.time
    ) -> None:
        self._clients, self._clock = clients, clock
        self._log_group, self._streams = settings.log_group, settings.log_streams

    def read(self, task_ids: Sequence[str], after: int) -> tuple[list[str], int]:
        """Lines from `after` on, which is a time in milliseconds as is the answered position."""
        until = int((self._clock() - SETTLE_S) * 1000)
        if not task_ids or until <= after:
            return [], after
        found = [self._of_task(task_id, after, until) for task_id in task_ids]
        lines = sorted(line for lines in found for line in lines)
        if len(lines) > MAX_LINES:
            # Stop before a millisecond, never within, or its other lines would not be seen.
            until = max(lines[MAX_LINES][0], lines[0][0] + 1)
            lines = [line for line in lines if line[0] < until]
        return [text for _, text in lines], until

    def tail(self, task_id: str) -> str:
        """The last lines of one task, as much of them as a record may hold."""
        try:
            answer = call(
                self._clients.logs.get_log_events,
                logGroupName=self._log_group,
                logStreamName=f"{self._streams}/{task_id}",
                limit=_TAIL_LINES,
                startFromHead=False,
            )
        except NotFound:  # it ended before it printed anything
            return ""
        return "\n".join(event["message"] for event in answer["events"])[-_TAIL_CHARS:]

    def _of_task(self, task_id: str, after: int, until: int) -> list[Line]:
        asked = {
            "logGroupName": self._log_group,
            "logStreamNamePrefix": f"{self._streams}/{task_id}",
            "startTime": after,
            "endTime": until - 1,  # this one is included
        }
        lines: list[Line] = []
        for page in pages(self._clients.logs.filter_log_events, asked):
            lines += [(event["timestamp"], event["message"]) for event in page["events"]]
            if len(lines) > MAX_LINES:
                break
        return lines
