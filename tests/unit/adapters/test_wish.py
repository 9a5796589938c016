from __future__ import annotations

from hookline.adapters.embedded.wish import Wish
from hookline.core.ports import Failure, Group, Process

GROUP = Group("t", "g", "stream", 1)
PROCESS = Process("t", "g", "p", "ready")
FAILURE = Failure("internal", "It died.")


def test_the_wait_doubles_up_to_a_bound() -> None:
    wish = Wish(GROUP)
    waits = [wish.note_end(PROCESS, FAILURE, 0.0, now=100.0) for _ in range(40)]

    assert waits[:4] == [0.2, 0.4, 0.8, 1.6]
    assert max(waits) == waits[-1] == 30.0
    assert wish.retry_at == 130.0


def test_a_minute_of_health_makes_the_wait_short_again() -> None:
    wish = Wish(GROUP)
    waits = [wish.note_end(PROCESS, FAILURE, healthy_s, 0.0) for healthy_s in (0, 59, 60)]

    assert waits == [0.2, 0.4, 0.2]


def test_the_last_end_is_remembered_with_its_reason() -> None:
    wish = Wish(GROUP)
    wish.note_end(PROCESS, FAILURE, 0.0, 0.0)

    assert wish.last_exited == Process("t", "g", "p", "exited", failure=FAILURE)


def test_a_wish_is_for_a_device_not_for_a_number() -> None:
    wish = Wish(GROUP)

    assert wish.asks_for(Group("t", "g", "stream", 5))
    assert not wish.asks_for(Group("t", "g", "stream", 1, device="gpu", gpus=1))
