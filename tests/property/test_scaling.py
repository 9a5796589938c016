"""Whatever the load does, scaling keeps its limits, does not flap, and comes to rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hookline.control.scaling import DOWN_S, remembered
from hookline.core.loads import LOAD_RENEW_S, Needed
from tests.unit.control.scaled import SCHEDULE_S, TICK_S, Simulation, Trace, elastic


def as_trace(parts: list[tuple[int, float]]) -> Trace:
    """Parts of tens of seconds, then the last load until everything has settled."""
    at_s, found = 0.0, []
    for tens, load in parts:
        found.append((at_s, load))
        at_s += 10 * tens
    return [*found, (at_s, found[-1][1]), (at_s + DOWN_S + 2 * SCHEDULE_S, found[-1][1])]


loads = st.one_of(st.just(0.0), st.floats(0.01, 120))
traces = st.lists(st.tuples(st.integers(1, 40), loads), min_size=1, max_size=6).map(as_trace)
limits = st.integers(0, 4).flatmap(lambda least: st.tuples(st.just(least), st.integers(5, 12)))
needed = st.lists(st.builds(Needed, at=st.floats(0, 900), replicas=st.integers(1, 9)), max_size=20)


@given(limits, st.integers(1, 20), traces, st.integers(1, 3))
def test_limits_hold_and_up_and_down_are_far_apart(
    limits: tuple[int, int], target: int, trace: Trace, gateways: int
) -> None:
    done = Simulation(elastic(*limits, target), trace, gateways).run()

    last_up = -DOWN_S
    for tick, (before, after) in enumerate(zip(done.wanted, done.wanted[1:], strict=False)):
        assert limits[0] <= after <= limits[1]
        if after > before:
            last_up = tick * TICK_S
        if after < before:
            assert tick * TICK_S - last_up >= DOWN_S


@given(limits, st.integers(1, 20), traces, st.integers(1, 3))
def test_the_end_is_what_the_last_load_needs(
    limits: tuple[int, int], target: int, trace: Trace, gateways: int
) -> None:
    done = Simulation(elastic(*limits, target), trace, gateways).run()

    assert done.wanted[-1] == done.need(-1)


@given(traces)
def test_no_request_of_the_window_before_finds_the_stream_gone(trace: Trace) -> None:
    done = Simulation(elastic(0, 8), trace).run()

    window = int((DOWN_S - LOAD_RENEW_S) / TICK_S)
    for tick, count in enumerate(done.wanted):
        if count == 0:
            assert not any(done.loads[max(0, tick - window) : tick])


@given(needed, st.floats(0, 900))
def test_the_greatest_need_of_the_window_is_remembered_first(
    needed: list[Needed], now: float
) -> None:
    kept = remembered(needed, now)

    within = [one.replicas for one in needed if one.at > now - DOWN_S]
    assert [one.replicas for one in kept[:1]] == ([max(within)] if within else [])
    assert list(kept) == sorted(kept, key=lambda one: (one.at, -one.replicas))
    assert len({one.replicas for one in kept}) == len(kept)
    assert remembered(kept, now) == kept
