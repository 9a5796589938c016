"""What every queue must do. Each test runs once per adapter, on a clock that the test moves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hookline.core.errors import Conflict, InvalidInput, NotFound
from hookline.core.ports import MAX_DELAY_S, MAX_LEASES, MAX_MESSAGE_BYTES, Lease, Queue
from hookline.core.topology import DROPS, PLAN, QUEUES, RECONCILE, queue_spec
from tests.fakes import FakeClock

LONG_S = 60


def bodies(leases: list[Lease]) -> list[bytes]:
    return sorted(lease.body for lease in leases)


def everything(queue: Queue, clock: FakeClock, name: str = PLAN) -> list[Lease]:
    """Receive and ack until nothing has come for a while."""
    taken: list[Lease] = []
    idle = 0
    while idle < 5:
        leases = queue.receive(name, MAX_LEASES, lease_s=LONG_S)
        for lease in leases:
            queue.ack(lease)
        taken += leases
        idle = 0 if leases else idle + 1
        clock.advance(1)
    return taken


# --- also in disorder ---


def test_every_message_is_delivered_at_least_once(any_queue: Queue, clock: FakeClock) -> None:
    sent = [b"%03d" % index for index in range(150)]
    any_queue.send(PLAN, sent)

    assert set(bodies(everything(any_queue, clock))) == set(sent)


def test_acked_messages_leave_nothing_behind(any_queue: Queue, clock: FakeClock) -> None:
    any_queue.send(PLAN, [b"a", b"b", b"c"])
    everything(any_queue, clock)
    clock.advance(10 * LONG_S)

    assert list(any_queue.receive(PLAN, MAX_LEASES, lease_s=LONG_S)) == []
    assert any_queue.depth(PLAN) == 0
    assert list(any_queue.dead(PLAN)) == []


def test_a_message_that_is_never_acked_ends_among_the_dead(
    any_queue: Queue, clock: FakeClock
) -> None:
    any_queue.send(PLAN, [b"poison"])
    deliveries = 0
    for _ in range(10 * queue_spec(PLAN).max_receives):
        deliveries += len(any_queue.receive(PLAN, MAX_LEASES, lease_s=1))
        clock.advance(1)

    most = queue_spec(PLAN).max_receives
    assert deliveries % most == 0
    assert {lease.body for lease in any_queue.dead(PLAN)} == {b"poison"}
    assert any_queue.depth(PLAN) == 0


@pytest.mark.parametrize("name", [spec.name for spec in QUEUES])
def test_every_queue_of_the_table_exists(any_queue: Queue, clock: FakeClock, name: str) -> None:
    any_queue.send(name, [b"x"])

    assert {lease.queue for lease in everything(any_queue, clock, name)} == {name}


def test_an_unknown_queue_is_named_with_those_that_exist(any_queue: Queue) -> None:
    for call in (
        lambda: any_queue.send("nope", [b"x"]),
        lambda: any_queue.receive("nope", 1, lease_s=1),
        lambda: any_queue.depth("nope"),
        lambda: any_queue.dead("nope"),
    ):
        with pytest.raises(NotFound, match=r"'nope'.*plan, shards"):
            call()


@pytest.mark.parametrize("limit", [0, -1, MAX_LEASES + 1])
def test_the_receive_limit_is_the_same_everywhere(any_queue: Queue, limit: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 10"):
        any_queue.receive(PLAN, limit, lease_s=1)


def test_a_body_that_some_queue_cannot_carry_is_refused(any_queue: Queue, clock: FakeClock) -> None:
    with pytest.raises(InvalidInput, match="too large"):
        any_queue.send(PLAN, [b"fine", b"x" * (MAX_MESSAGE_BYTES + 1)])
    assert everything(any_queue, clock) == []


@pytest.mark.parametrize("delay_s", [-1, MAX_DELAY_S + 1])
def test_a_delay_that_some_queue_cannot_make_is_refused(
    any_queue: Queue, clock: FakeClock, delay_s: int
) -> None:
    with pytest.raises(InvalidInput, match="cannot be delayed"):
        any_queue.send(PLAN, [b"x"], delay_s=delay_s)
    assert everything(any_queue, clock) == []


def test_the_longest_delay_is_kept(any_queue: Queue, clock: FakeClock) -> None:
    any_queue.send(PLAN, [b"x"], delay_s=MAX_DELAY_S)

    clock.advance(MAX_DELAY_S - 1)
    assert list(any_queue.receive(PLAN, MAX_LEASES, lease_s=LONG_S)) == []
    clock.advance(10)
    assert bodies(everything(any_queue, clock)) == [b"x"]


def test_a_fifo_queue_delays_by_its_own_delay_and_no_other(
    any_queue: Queue, clock: FakeClock
) -> None:
    own_s = queue_spec(RECONCILE).delay_s
    with pytest.raises(InvalidInput, match="FIFO"):
        any_queue.send(RECONCILE, [b"x"], delay_s=own_s + 1)
    any_queue.send(RECONCILE, [b"y"], delay_s=own_s)

    assert set(bodies(everything(any_queue, clock, RECONCILE))) == {b"y"}


def test_sending_nothing_is_nothing(any_queue: Queue) -> None:
    any_queue.send(PLAN, [])

    assert any_queue.depth(PLAN) == 0


# --- in order: what a test can only see when nothing is doubled or delayed ---


def test_a_lease_carries_the_body_unchanged(queue: Queue) -> None:
    body = bytes(range(256)) * (MAX_MESSAGE_BYTES // 256)
    queue.send(PLAN, [body])
    [lease] = queue.receive(PLAN, 1, lease_s=LONG_S)

    assert (lease.queue, lease.body, lease.attempts) == (PLAN, body, 1)


def test_a_leased_message_is_hidden_from_others(queue: Queue) -> None:
    queue.send(PLAN, [b"job"])
    queue.receive(PLAN, 1, lease_s=LONG_S)

    assert list(queue.receive(PLAN, 10, lease_s=LONG_S)) == []


def test_consumers_at_once_never_share_a_lease(queue: Queue) -> None:
    sent = [b"%03d" % index for index in range(120)]
    queue.send(PLAN, sent)

    def consume(_: int) -> list[Lease]:
        taken: list[Lease] = []
        while leases := queue.receive(PLAN, 3, lease_s=LONG_S):
            taken += leases
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [lease for leases in pool.map(consume, range(8)) for lease in leases]

    assert bodies(taken) == sent
    assert len({lease.receipt for lease in taken}) == len(sent)


def test_a_lease_that_ends_is_delivered_again_and_counted(queue: Queue, clock: FakeClock) -> None:
    queue.send(PLAN, [b"job"])
    [first] = queue.receive(PLAN, 1, lease_s=LONG_S)
    clock.advance(LONG_S)
    [second] = queue.receive(PLAN, 1, lease_s=LONG_S)

    assert (first.attempts, second.attempts) == (1, 2)
    assert (second.body, second.message_id) == (b"job", first.message_id)
    assert second.receipt != first.receipt


def test_receive_takes_no_more_than_asked_for(queue: Queue) -> None:
    queue.send(PLAN, [b"%d" % index for index in range(25)])

    taken = [len(queue.receive(PLAN, limit, lease_s=LONG_S)) for limit in (3, 10, 10, 10)]
    assert taken == [3, 10, 10, 2]


def test_queues_do_not_see_each_others_messages(queue: Queue) -> None:
    queue.send(PLAN, [b"job"])

    assert list(queue.receive(DROPS, 10, lease_s=LONG_S)) == []
    assert (queue.depth(PLAN), queue.depth(DROPS)) == (1, 0)


def test_a_delayed_message_comes_when_it_is_due(queue: Queue, clock: FakeClock) -> None:
    queue.send(PLAN, [b"later"], delay_s=30)
    clock.advance(29)
    early = list(queue.receive(PLAN, 1, lease_s=LONG_S))
    clock.advance(1)

    assert early == []
    assert bodies(list(queue.receive(PLAN, 1, lease_s=LONG_S))) == [b"later"]


def test_an_extended_lease_lasts_from_now_on(queue: Queue, clock: FakeClock) -> None:
    queue.send(PLAN, [b"job"])
    [lease] = queue.receive(PLAN, 1, lease_s=LONG_S)
    clock.advance(LONG_S - 1)
    queue.extend(lease, LONG_S)
    clock.advance(LONG_S - 1)
    held = list(queue.receive(PLAN, 1, lease_s=LONG_S))
    clock.advance(1)

    assert held == []
    assert len(queue.receive(PLAN, 1, lease_s=LONG_S)) == 1


def test_extending_a_lease_that_ended_is_a_conflict(queue: Queue, clock: FakeClock) -> None:
    queue.send(PLAN, [b"job"])
    [lease] = queue.receive(PLAN, 1, lease_s=LONG_S)
    clock.advance(LONG_S)

    with pytest.raises(Conflict, match="has ended"):
        queue.extend(lease, LONG_S)


def test_extending_a_lease_that_another_took_over_is_a_conflict(
    queue: Queue, clock: FakeClock
) -> None:
    queue.send(PLAN, [b"job"])
    [mine] = queue.receive(PLAN, 1, lease_s=LONG_S)
    clock.advance(LONG_S)
    [theirs] = queue.receive(PLAN, 1, lease_s=LONG_S)

    with pytest.raises(Conflict):
        queue.extend(mine, LONG_S)
    queue.extend(theirs, LONG_S)


def test_extending_an_acked_lease_is_a_conflict(queue: Queue) -> None:
    queue.send(PLAN, [b"job"])
    [lease] = queue.receive(PLAN, 1, lease_s=LONG_S)
    queue.ack(lease)

    with pytest.raises(Conflict):
        queue.extend(lease, LONG_S)


def test_an_acked_message_never_comes_back(queue: Queue, clock: FakeClock) -> None:
    queue.send(PLAN, [b"job"])
    [lease] = queue.receive(PLAN, 1, lease_s=LONG_S)
    queue.ack(lease)
    queue.ack(lease)
    clock.advance(10 * LONG_S)

    assert list(queue.receive(PLAN, 10, lease_s=LONG_S)) == []


def test_a_late_ack_does_not_take_the_message_from_its_new_holder(
    queue: Queue, clock: FakeClock
) -> None:
    queue.send(PLAN, [b"job"])
    [mine] = queue.receive(PLAN, 1, lease_s=LONG_S)
    clock.advance(LONG_S)
    [theirs] = queue.receive(PLAN, 1, lease_s=LONG_S)
    queue.ack(mine)

    queue.extend(theirs, LONG_S)
    assert queue.depth(PLAN) == 1


def test_depth_counts_waiting_leased_and_delayed(queue: Queue) -> None:
    queue.send(PLAN, [b"a", b"b", b"c"])
    queue.send(PLAN, [b"later"], delay_s=30)
    queue.receive(PLAN, 1, lease_s=LONG_S)

    assert queue.depth(PLAN) == 4


def test_a_message_is_tried_as_often_as_its_queue_says(queue: Queue, clock: FakeClock) -> None:
    queue.send(PLAN, [b"poison"])
    attempts = []
    for _ in range(queue_spec(PLAN).max_receives):
        [lease] = queue.receive(PLAN, 1, lease_s=LONG_S)
        attempts.append(lease.attempts)
        clock.advance(LONG_S)

    assert attempts == [1, 2, 3, 4, 5]
    assert list(queue.receive(PLAN, 1, lease_s=LONG_S)) == []


def test_a_dead_message_does_not_keep_others_from_being_delivered(
    queue: Queue, clock: FakeClock
) -> None:
    queue.send(PLAN, [b"poison"])
    for _ in range(queue_spec(PLAN).max_receives):
        queue.receive(PLAN, 1, lease_s=1)
        clock.advance(1)
    queue.send(PLAN, [b"fine"])

    assert bodies(list(queue.receive(PLAN, 1, lease_s=LONG_S))) == [b"fine"]


def test_dead_letters_are_looked_at_oldest_first_and_stay(queue: Queue, clock: FakeClock) -> None:
    queue.send(PLAN, [b"1", b"2", b"3"])
    for _ in range(queue_spec(PLAN).max_receives + 1):
        queue.receive(PLAN, 10, lease_s=1)
        clock.advance(1)

    for _ in range(2):
        assert [lease.body for lease in queue.dead(PLAN, 2)] == [b"1", b"2"]
    assert [lease.attempts for lease in queue.dead(PLAN)] == [5, 5, 5]
