from __future__ import annotations

import pytest

from hookline.control.desired import Forget, Store
from hookline.control.scaling import DOWN_S, LOAD_S, plan_scale, remembered
from hookline.core.loads import LOAD_RENEW_S, Demand, Load, Needed
from hookline.core.records import Stream
from tests.unit.control.scaled import (
    SCHEDULE_S,
    START_S,
    TICK_S,
    Simulation,
    elastic,
    trace,
)

SHAPES = ["step", "spike", "sawtooth", "diurnal", "on-off"]
NOW = 10_000.0
TOLD_S = LOAD_RENEW_S + SCHEDULE_S  # until a small rise is acted on


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("least", [0, 1, 2])
def test_a_stream_keeps_within_its_limits(shape: str, least: int) -> None:
    done = Simulation(elastic(least, 6, target=4), trace(shape)).run()

    assert all(least <= count <= 6 for count in done.wanted)
    assert max(done.wanted) > least


def test_what_went_up_stays_up_for_the_window(shape: str) -> None:
    done = Simulation(elastic(0, 16), trace(shape)).run()
    steps = list(zip(done.wanted, done.wanted[1:], strict=False))
    ups = [tick for tick, (before, after) in enumerate(steps) if after > before]
    downs = [tick for tick, (before, after) in enumerate(steps) if after < before]

    assert ups
    for up in ups:
        assert not [down for down in downs if 0 <= (down - up) * TICK_S < DOWN_S]


def test_the_load_is_never_above_what_is_ready_for_long(shape: str) -> None:
    done = Simulation(elastic(0, 16), trace(shape)).run()

    short_s = 0
    for tick in range(len(done.loads)):
        short_s = short_s + TICK_S if done.ready[tick] < done.need(tick) else 0
        assert short_s <= TOLD_S + START_S


def test_a_load_that_doubles_is_answered_at_once(shape: str) -> None:
    done = Simulation(elastic(0, 16), trace(shape)).run()

    for tick, load in enumerate(done.loads):
        if load > 1 and done.need(tick) >= 2 * done.wanted[max(0, tick - 1)]:
            assert done.wanted[tick] >= done.need(tick)


def test_no_replica_is_left_only_after_the_window_without_a_request(shape: str) -> None:
    done = Simulation(elastic(0, 16), trace(shape)).run()

    window = int((DOWN_S - LOAD_RENEW_S) / TICK_S)
    for tick, count in enumerate(done.wanted):
        if count == 0:
            assert not any(done.loads[max(0, tick - window) : tick])
            assert tick >= window


@pytest.mark.parametrize(("load", "count"), [(0, 0), (0.1, 1), (8, 1), (8.1, 2), (40, 5), (500, 9)])
@pytest.mark.parametrize("gateways", [1, 3])
def test_a_steady_load_gets_what_it_needs(load: float, count: int, gateways: int) -> None:
    steady = [(0.0, 70.0), (100.0, load), (110.0 + DOWN_S + 2 * SCHEDULE_S, load)]
    done = Simulation(elastic(0, 9), steady, gateways).run()

    assert done.wanted[-1] == count


def test_several_gateways_are_added_up(shape: str) -> None:
    alone = Simulation(elastic(0, 16), trace(shape)).run()
    together = Simulation(elastic(0, 16), trace(shape), gateways=4).run()

    assert abs(max(alone.wanted) - max(together.wanted)) <= 1


def lease(age_s: float, in_flight: float, waiting: int = 0, gateway: str = "g") -> Load:
    return Load(
        tenant="a",
        stream_id=1,
        gateway_id=gateway,
        in_flight=in_flight,
        waiting=waiting,
        updated_at=NOW - age_s,
        version=1,
    )


def settled(*recent: Needed) -> Demand:
    return Demand(tenant="a", stream_id=1, recent=recent, version=1)


def test_a_waiting_request_wakes_a_stream() -> None:
    asleep = elastic(0, 4).changed(replicas=0)

    awake, actions = plan_scale(asleep, settled(), [lease(0, 0, waiting=1)], NOW)

    assert awake.replicas == 1
    assert Store(awake) in actions


def test_a_gateway_that_is_gone_is_not_believed_and_forgotten() -> None:
    stream = elastic(1, 9)
    gone = lease(DOWN_S + 1, 80)

    assert plan_scale(stream, settled(), [gone], NOW) == (stream, [Forget(gone)])


def test_what_an_expired_lease_said_counts_for_its_time() -> None:
    stream = elastic(0, 9)
    expired = lease(LOAD_S, 1)

    scaled, actions = plan_scale(stream, settled(), [expired], NOW)

    assert scaled.replicas == 1
    kept = settled(Needed(at=NOW - LOAD_S, replicas=1))
    assert actions == [Store(kept), Forget(expired)]


def test_an_idle_stream_costs_no_write() -> None:
    asleep = elastic(0, 4).changed(replicas=0)

    assert plan_scale(asleep, settled(), [], NOW) == (asleep, [])


def test_a_load_that_goes_on_costs_no_write_at_every_look() -> None:
    stream, load = elastic(1, 9).changed(replicas=2), lease(1, 12)
    before = settled(Needed(at=NOW - 15, replicas=2))

    assert plan_scale(stream, before, [load], NOW) == (stream, [])


def test_a_fixed_stream_takes_its_number_and_leaves_nothing_behind() -> None:
    fixed = elastic(3, 3).changed(replicas=5)
    demand, load = settled(), lease(0, 80)

    scaled, actions = plan_scale(fixed, demand, [load], NOW)

    assert scaled.replicas == 3
    assert actions == [Store(scaled), Forget(load), Forget(demand)]


@pytest.mark.parametrize("status", ["Deploying", "Failed", "Undeploying"])
def test_a_stream_that_does_not_run_is_not_scaled(status: str) -> None:
    stream: Stream = elastic(1, 9).changed(status=status)

    assert plan_scale(stream, None, [lease(0, 80)], NOW)[0] is stream


def test_less_is_remembered_behind_more() -> None:
    early, small, same = (Needed(at=NOW - s, replicas=n) for s, n in ((50, 5), (40, 2), (30, 3)))

    assert remembered([same, early, small], NOW) == (early, same)
    assert remembered([early], NOW - 50 + DOWN_S) == ()


def test_replicas_alone_are_a_fixed_number() -> None:
    fields = elastic(0, 1).model_dump(exclude={"min_replicas", "max_replicas"})
    stream = Stream.model_validate({**fields, "replicas": 3})

    assert (stream.min_replicas, stream.max_replicas) == (3, 3)
    assert not stream.is_elastic
