from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pytest

from hookline.batch.batch_size import (
    BATCH_S,
    KEPT,
    MAX_BATCH_ITEMS,
    MAX_BATCH_OUTPUT_BYTES,
    BatchSize,
)

Cost = Callable[[int], float]
"""Seconds that a batch of a size takes."""


def run(size: BatchSize, cost: Cost, files: int) -> float:
    """Seconds for so many files. The next batch is asked for before the last one is over."""
    asked, seconds = [size.items], 0.0
    while files > 0:
        asked.append(size.items)
        items = asked.pop(0)
        took_s = cost(items)
        size.note(items, took_s)
        files, seconds = files - items, seconds + took_s
    return seconds


def by_file(costs_s: Mapping[int, float], noise: Callable[[], float] = lambda: 1.0) -> Cost:
    """The cost of a batch from what a file of it costs."""
    return lambda items: items * costs_s[items] * noise()


# MobileNetV2 on JPEGs: activations of more than 32 MB come from fresh pages every time.
CONVOLUTIONS = {1: 0.009, 2: 0.0084, 4: 0.0079, 8: 0.0114, 16: 0.0123, 32: 0.0125, 64: 0.0125}


def test_what_gains_by_batches_gets_the_largest() -> None:
    size = BatchSize()

    run(size, lambda items: 0.02 + 0.0005 * items, 3000)

    assert size.items in (MAX_BATCH_ITEMS, MAX_BATCH_ITEMS // 2)


@pytest.mark.parametrize("seed", range(20))
def test_a_noisy_machine_costs_convolutions_little(seed: int) -> None:
    """Noise makes batches slower, a few of them by a lot, and none quicker."""
    chance = random.Random(seed)

    def noise() -> float:
        return (1 + abs(chance.gauss(0, 0.15))) * (3 if chance.random() < 0.03 else 1)

    best = run(BatchSize(), by_file(dict.fromkeys(CONVOLUTIONS, 0.0079), noise), 1000)
    seconds = run(BatchSize(), by_file(CONVOLUTIONS, noise), 1000)

    assert seconds < 1.25 * best


def test_a_busy_hour_leads_to_no_large_batches_that_stay() -> None:
    """While all is slow by chance, a rate of then must not speak for a size."""
    size = BatchSize()
    chance = random.Random(7)
    run(size, by_file(CONVOLUTIONS, lambda: chance.uniform(1, 3)), 600)

    run(size, by_file(CONVOLUTIONS), 40 * KEPT)

    assert run(size, by_file(CONVOLUTIONS), 1000) < 1.05 * 1000 * CONVOLUTIONS[4]


def test_a_batch_takes_about_a_second_at_most() -> None:
    size = BatchSize()

    run(size, lambda items: 0.02 + 0.1 * items, 100)

    assert size.items * 0.1 <= BATCH_S


def test_files_that_take_seconds_go_one_by_one() -> None:
    size = BatchSize()

    run(size, lambda items: 5.0 * items, 300)

    assert size.items == 1


def test_batches_that_are_over_at_once_grow_whatever_the_noise() -> None:
    size = BatchSize()
    for seconds in (0.0001, 0.001, 0.0, 0.002, 0.0001, 0.004, 0.002):
        size.note(size.items, seconds)

    assert size.items == MAX_BATCH_ITEMS


def test_large_answers_keep_a_batch_small() -> None:
    """A row of megabytes is in the memory of the engine and of the worker."""
    size = BatchSize()

    for _ in range(500):
        items = size.items
        assert items * 1_000_000 <= 2 * MAX_BATCH_OUTPUT_BYTES
        size.note(items, 0.001, items * 1_000_000)

    assert size.items == MAX_BATCH_OUTPUT_BYTES // 1_000_000


@pytest.mark.parametrize("before", range(5))
def test_the_last_batch_of_a_shard_says_nothing(before: int) -> None:
    size = BatchSize()
    run(size, lambda _: 0.001, 1000)
    for _ in range(before):
        size.note(MAX_BATCH_ITEMS, seconds=0.5)

    for _ in range(5):
        size.note(3, seconds=0.5)

    assert size.items in (MAX_BATCH_ITEMS, MAX_BATCH_ITEMS // 2)
    run(size, lambda _: 0.001, 1000)
    assert size.items == MAX_BATCH_ITEMS


def test_one_large_answer_is_forgotten() -> None:
    size = BatchSize()
    size.note(1, 0.001, MAX_BATCH_OUTPUT_BYTES + 1)

    seconds = run(size, lambda items: 0.02 + 0.0005 * items, 100_000)

    assert seconds < 1.4 * 100_000 * (0.02 / MAX_BATCH_ITEMS + 0.0005)


def test_a_cliff_is_met_now_and_then_and_not_all_the_time() -> None:
    """Up to 32 files are over at once, 64 are not."""
    size = BatchSize()

    seconds = run(size, lambda items: 0.00015 * items if items <= 32 else 0.0008 * items, 200_000)

    assert seconds < 1.3 * 200_000 * 0.00015


def test_a_slow_moment_costs_a_few_batches() -> None:
    size = BatchSize()
    run(size, lambda items: 0.02 + 0.0005 * items, 10_000)
    size.note(1, 1.1)

    seconds = run(size, lambda items: 0.02 + 0.0005 * items, 10_000)

    assert seconds < 2 * 10_000 * (0.02 / MAX_BATCH_ITEMS + 0.0005)


def test_a_rival_that_never_comes_has_lost() -> None:
    """Large files are cut off by their bytes: two are asked for, and one comes."""
    size = BatchSize()

    for _ in range(30):
        size.note(1, 0.02)

    assert size.items == 1


def test_what_has_become_slower_by_its_size_shrinks_again() -> None:
    size = BatchSize()
    run(size, lambda items: 0.02 + 0.0005 * items, 3000)

    run(size, lambda items: 0.001 * items**1.5, 100_000)

    assert size.items <= 16
