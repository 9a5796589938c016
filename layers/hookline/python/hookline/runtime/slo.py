"""Keep the 99th percentile of the answer time below a goal, by the size of batches and the wait.

The law, applied after every WINDOW answers:

* p99 above the goal: stop waiting. If a batch alone runs for more than a third of the goal (an
  item waits for the one before its own, too), take a quarter off the batch; else it is the queue
  that takes the time, so let batches grow by a quarter.
* p99 below half of the goal: let batches wait 1 % of the goal longer, up to an eighth of it, so
  that they fill; but only where batches pay at all.
* In between: nothing.
"""

from __future__ import annotations

import math

WINDOW = 200
_CALM = 0.5
_SMALLER, _LARGER = 0.75, 1.25
_RUN_SHARE = 1 / 3
_WAIT_STEP, _MAX_WAIT = 0.01, 0.125  # of the goal


class Governor:
    """Sizes batches for `goal_s`, between 1 and `max_items`: the most that pays off."""

    def __init__(self, goal_s: float, max_items: int) -> None:
        self.goal_s, self.max_items = goal_s, max_items
        self.items, self.wait_s = max_items, 0.0
        self._times_s: list[float] = []
        self._longest_run_s = 0.0

    def note(self, answer_s: float, run_s: float) -> None:
        """Take note of an answer: its time since its arrival, and that of its batch alone."""
        self._times_s.append(answer_s)
        self._longest_run_s = max(self._longest_run_s, run_s)
        if len(self._times_s) == WINDOW:
            self._decide(sorted(self._times_s)[math.ceil(0.99 * WINDOW) - 1])
            self._times_s, self._longest_run_s = [], 0.0

    def _decide(self, p99_s: float) -> None:
        if p99_s > self.goal_s:
            self.wait_s = 0.0
            if self._longest_run_s > self.goal_s * _RUN_SHARE:
                self.items = max(1, int(self.items * _SMALLER))
            else:
                self.items = min(self.max_items, math.ceil(self.items * _LARGER))
        elif p99_s < _CALM * self.goal_s and self.max_items > 1:
            self.wait_s = min(self.wait_s + _WAIT_STEP * self.goal_s, _MAX_WAIT * self.goal_s)
