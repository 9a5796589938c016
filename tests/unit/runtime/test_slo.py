"""The law that keeps a goal, against a queue that is simulated."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from hookline.runtime.slo import WINDOW, Governor


def simulated_p99_s(governor: Governor, run_s: Callable[[int], float], rate: float) -> float:
    """One server and Poisson arrivals; the p99 of the last quarter of 40,000 answers."""
    chance = random.Random(7)
    arrivals, now_s = [], 0.0
    for _ in range(40_000):
        now_s += chance.expovariate(rate)
        arrivals.append(now_s)
    times_s: list[float] = []
    free_s, at = 0.0, 0
    while at < len(arrivals):
        starts_s = max(free_s, arrivals[at])
        full = at + governor.items - 1
        filled_s = arrivals[full] if full < len(arrivals) else float("inf")
        starts_s = max(starts_s, min(arrivals[at] + governor.wait_s, filled_s))
        count = 1
        while count < governor.items and at + count < len(arrivals):
            if arrivals[at + count] > starts_s:
                break
            count += 1
        free_s = starts_s + run_s(count)
        for arrived_s in arrivals[at : at + count]:
            times_s.append(free_s - arrived_s)
            governor.note(free_s - arrived_s, run_s(count))
        at += count
    last = sorted(times_s[-10_000:])
    return last[9_900]


def test_batches_too_long_for_the_goal_shrink_until_it_is_kept() -> None:
    """After a stall, large batches of this model would never work off what waits."""
    governor = Governor(0.05, max_items=64)
    stalls_s = [1.0]

    def run_s(count: int) -> float:
        return stalls_s.pop() if stalls_s else 0.002 * count**1.2

    assert simulated_p99_s(governor, run_s, rate=250) <= 0.05
    assert governor.items < 64


def test_a_queue_that_takes_the_time_makes_batches_grow() -> None:
    governor = Governor(0.05, max_items=64)
    governor.items = 1

    def run_s(count: int) -> float:
        return 0.004 + 0.0001 * count

    assert simulated_p99_s(governor, run_s, rate=1000) <= 0.05
    assert governor.items > 1


def test_time_to_spare_is_spent_on_fuller_batches_and_the_goal_still_kept() -> None:
    governor = Governor(0.05, max_items=64)

    def run_s(count: int) -> float:
        return 0.002 + 0.0001 * count

    assert simulated_p99_s(governor, run_s, rate=100) <= 0.05
    assert governor.wait_s > 0


def test_a_model_that_gains_nothing_from_batches_never_waits() -> None:
    governor = Governor(0.05, max_items=1)
    for _ in range(100 * WINDOW):
        governor.note(0.001, 0.001)

    assert (governor.items, governor.wait_s) == (1, 0.0)


@pytest.mark.parametrize("answer_s", [0.0, 0.049, 10.0])
def test_settings_stay_in_their_bounds(answer_s: float) -> None:
    governor = Governor(0.05, max_items=8)
    for _ in range(100 * WINDOW):
        governor.note(answer_s, answer_s)

        assert 1 <= governor.items <= 8
        assert 0 <= governor.wait_s <= 0.05 / 8
