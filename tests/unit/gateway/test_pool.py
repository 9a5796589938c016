from __future__ import annotations

from hookline.gateway.pool import FIRST_REST_S, LONGEST_REST_S, Pool
from tests.fakes import FakeClock

A, B = "unix:a", "unix:b"


def order(pool: Pool) -> list[str]:
    return [upstream.address for upstream in pool.by_load((A, B))]


def test_the_replica_with_the_fewest_requests_is_tried_first() -> None:
    pool = Pool()
    pool.by_load((A, B))[0].in_flight = 3

    assert order(pool) == [B, A]


def test_one_that_could_not_be_reached_is_tried_last_for_a_while() -> None:
    timer = FakeClock()
    pool = Pool(timer)
    [first, second] = pool.by_load((A, B))
    second.in_flight = 3
    pool.rest(first)

    assert order(pool) == [B, A]
    timer.advance(FIRST_REST_S)
    assert order(pool) == [A, B]


def test_one_that_stays_away_rests_longer_each_time_up_to_a_limit() -> None:
    timer = FakeClock()
    pool = Pool(timer)
    [first, _] = pool.by_load((A, B))
    rests = []
    for _ in range(8):
        pool.rest(first)
        start = timer.now
        while order(pool) == [B, A]:
            timer.advance(FIRST_REST_S)
        rests.append(timer.now - start)

    assert rests == [0.5, 1, 2, 4, 8, 8, 8, 8]
    assert LONGEST_REST_S == 8


def test_one_that_answers_again_is_as_good_as_any() -> None:
    pool = Pool(FakeClock())
    [first, _] = pool.by_load((A, B))
    pool.rest(first)
    pool.reached(first)

    assert order(pool) == [A, B]


def test_replicas_that_are_gone_are_forgotten_once_they_answer_nothing() -> None:
    pool = Pool()
    [first, second] = pool.by_load((A, B))
    second.in_flight = 1
    pool.rest(first)
    pool.keep(frozenset())

    assert pool._resting == {}
    [again, same] = pool.by_load((A, B))
    assert again is not first
    assert same is second or again is second
