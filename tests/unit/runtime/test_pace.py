"""Where a batch runs, by what batches like it have cost."""

from __future__ import annotations

from hookline.runtime.items import Item
from hookline.runtime.pace import INLINE_BODY_BYTES, INLINE_S, Pace

QUICK_S, SLOW_S = 20e-6, 20e-3


def items(count: int, kind: str = "application/json", size_bytes: int = 10) -> list[Item]:
    return [Item(bytes(size_bytes), kind)] * count


def quick_pace() -> Pace:
    pace = Pace(may_run_inline=True)
    pace.learn(items(1), QUICK_S)
    return pace


def test_what_is_known_to_be_quick_runs_inline() -> None:
    assert quick_pace().inline_items(items(1)) == 1


def test_what_nobody_has_sent_yet_goes_to_the_thread() -> None:
    assert quick_pace().inline_items(items(1, "image/png")) == 0


def test_a_large_body_goes_to_the_thread() -> None:
    large = items(1, size_bytes=INLINE_BODY_BYTES + 1)

    assert quick_pace().inline_items(large) == 0
    assert quick_pace().inline_items([*items(2), *large]) == 2


def test_another_kind_ends_an_inline_batch() -> None:
    assert quick_pace().inline_items([*items(3), *items(1, "image/png")]) == 3


def test_nothing_runs_inline_where_hooks_belong_to_a_thread() -> None:
    pace = Pace(may_run_inline=False)
    for _ in range(9):
        pace.learn(items(1), QUICK_S)

    assert pace.inline_items(items(1)) == 0


def test_one_slow_run_moves_its_kind_to_the_thread_and_it_takes_many_quick_ones_back() -> None:
    pace = quick_pace()

    pace.learn(items(2), SLOW_S)

    assert pace.inline_items(items(1)) == 0
    count = 0
    while not pace.inline_items(items(1)):
        pace.learn(items(1), QUICK_S)
        count += 1
    assert 10 < count < 100


def test_a_large_batch_that_is_slow_by_its_size_alone_moves_nothing() -> None:
    pace = quick_pace()
    for disturbance in (1.0, 1.0, 1.7, 1.0, 1.9):
        pace.learn(items(64), disturbance * 1.3e-3)

    assert pace.inline_items(items(64)) == 32


def test_what_wavers_around_a_hop_stays_where_it_is() -> None:
    pace = quick_pace()
    pace.measured_hop(100e-6)

    for _ in range(50):
        pace.learn(items(1), 1.5 * pace.hop_s)
        assert pace.inline_items(items(1)) == 1
    for _ in range(50):
        pace.learn(items(1), 3 * pace.hop_s)
    assert pace.inline_items(items(1)) == 0
    for _ in range(50):
        pace.learn(items(1), 1.5 * pace.hop_s)
        assert pace.inline_items(items(1)) == 0


def test_a_batch_is_cut_so_that_the_loop_never_stands_still_for_long() -> None:
    pace = Pace(may_run_inline=True)
    pace.learn(items(16), 0.6 * INLINE_S)

    assert pace.inline_items(items(64)) == 16
    assert pace.inline_items(items(10)) == 10


def test_what_is_not_known_is_guessed_from_smaller_batches() -> None:
    pace = quick_pace()

    assert pace.inline_items(items(64)) == 32  # 32 × 20 µs is below a millisecond, 64 × is not


def test_kinds_that_clients_invent_do_not_pile_up() -> None:
    pace = quick_pace()
    for number in range(1000):
        pace.learn(items(1, f"x/{number}"), QUICK_S)

    assert len(pace._kinds) < 100


def test_where_hops_cost_more_than_the_model_it_comes_back_from_the_thread() -> None:
    cold_s = 0.3e-3  # what it costs after a hop, and more than one on an idle machine
    pace = Pace(may_run_inline=True)
    pace.measured_hop(20e-6)
    pace.learn(items(1), cold_s)
    assert pace.inline_items(items(1)) == 0

    for _ in range(20):
        pace.hopped(5e-3)
        pace.learn(items(1), cold_s)
    assert pace.inline_items(items(1)) == 1


def test_what_is_slow_stays_in_the_thread_however_long_hops_take() -> None:
    pace = Pace(may_run_inline=True)
    for _ in range(100):
        pace.hopped(1.0)
        pace.learn(items(1), INLINE_S)
    assert pace.inline_items(items(1)) == 0


def test_one_hop_that_was_held_up_decides_nothing() -> None:
    pace = Pace(may_run_inline=True)
    pace.measured_hop(20e-6)
    pace.hopped(1.0)
    pace.learn(items(1), 0.3e-3)
    assert pace.inline_items(items(1)) == 0


def test_one_run_that_was_disturbed_sends_nothing_to_the_thread() -> None:
    pace = quick_pace()
    pace.measured_hop(20e-6)
    pace.learn(items(1), 1.9 * INLINE_S)
    assert pace.inline_items(items(1)) == 1


def test_a_cold_first_run_is_soon_forgotten() -> None:
    pace = Pace(may_run_inline=True)
    pace.learn(items(1), INLINE_S)
    for _ in range(5):
        pace.learn(items(1), QUICK_S)
    assert pace.inline_items(items(1)) == 1


def test_what_has_become_dear_goes_to_the_thread() -> None:
    pace = quick_pace()
    for _ in range(60):
        pace.learn(items(1), INLINE_S)
    assert pace.inline_items(items(1)) == 0
