"""The batch size at which a model stops gaining: larger batches only cost time and memory."""

from __future__ import annotations

import time
from collections.abc import Callable

_BUDGET_S = 0.25  # of the start, which somebody waits for
_ENOUGH = 1.1  # times the best cost of an item: a smaller batch as good as that is taken
_WORSE = 1.5  # times the best: no larger batch is tried
_TRIES = 3


def worthwhile_items(
    run: Callable[[int], object],
    max_items: int,
    *,
    budget_s: float = _BUDGET_S,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """The smallest batch with which an item costs about as little as with any up to `max_items`.

    `run(n)` runs a batch of n. A size that the budget leaves no time for is taken not to gain,
    unless the sizes before it still did.
    """
    ends_s = clock() + budget_s
    costs_s: dict[int, float] = {}
    size, is_cut_short = 1, False
    while size <= max_items:
        costs_s[size] = _item_s(run, size, ends_s, clock)
        if costs_s[size] > _WORSE * min(costs_s.values()):
            break
        is_cut_short = clock() >= ends_s
        if is_cut_short:
            break
        size *= 2
    best_s = min(costs_s.values())
    found = min(size for size, cost_s in costs_s.items() if cost_s <= _ENOUGH * best_s)
    still_gains = found == max(costs_s) and (is_cut_short or 2 * found > max_items)
    return max_items if still_gains and found > 1 else found


def _item_s(
    run: Callable[[int], object], size: int, ends_s: float, clock: Callable[[], float]
) -> float:
    """The best of some runs: what disturbs a run only makes it longer."""
    best_s = float("inf")
    for _ in range(_TRIES):
        began_s = clock()
        run(size)
        now_s = clock()
        best_s = min(best_s, (now_s - began_s) / size)
        if now_s >= ends_s:
            break
    return best_s
