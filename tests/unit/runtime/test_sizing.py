"""How large batches should be, on a clock that the runs move."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hookline.runtime.sizing import worthwhile_items


def found(run_s: Callable[[int], float], max_items: int = 64, budget_s: float = 1e9) -> int:
    now_s = [0.0]

    def run(count: int) -> None:
        now_s[0] += run_s(count)

    return worthwhile_items(run, max_items, budget_s=budget_s, clock=lambda: now_s[0])


def test_a_model_whose_batches_cost_nothing_more_takes_the_most() -> None:
    assert found(lambda count: 10e-6 + 0.01e-6 * count) == 64


def test_a_model_that_gains_nothing_from_batches_takes_one_at_a_time() -> None:
    assert found(lambda count: 7e-3 * count) == 1


def test_a_model_that_loses_from_batches_takes_one_at_a_time() -> None:
    assert found(lambda count: 7e-3 * count**1.3) == 1


def test_where_the_gain_ends_the_batch_ends() -> None:
    assert found(lambda count: max(1e-3, count * 1e-3 / 8)) == 8


@pytest.mark.parametrize("max_items", [1, 2, 5, 64])
def test_it_is_never_more_than_is_allowed(max_items: int) -> None:
    assert 1 <= found(lambda _: 1e-3, max_items) <= max_items


def test_a_budget_ends_the_search() -> None:
    sizes: list[int] = []

    def run_s(count: int) -> float:
        sizes.append(count)
        return 0.1 * count

    found(run_s, budget_s=0.25)

    assert sum(sizes) <= 4


def test_a_gain_that_the_budget_left_unseen_is_believed() -> None:
    assert found(lambda _: 0.1, budget_s=0.5) == 64
