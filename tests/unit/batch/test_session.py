from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from hookline.batch.session import KEPT, MAX_BATCH_ITEMS, Pace, Session
from hookline.core.errors import HookCrashed, HooklineError, NotFound
from hookline.runtime.items import Answer, Item, Outcome
from tests.unit.batch.world import FakeEngine, World

Bodies = list[bytes]


def run(session: Session, bodies: Bodies, calls: int = 1000) -> list[Outcome]:
    """The outcomes, with leave to go on that many times."""
    left = iter(range(calls))
    items = [Item(body=body, mime_type="text/plain", name=body.decode()) for body in bodies]
    return list(session.run(items, lambda: next(left, None) is not None))


@pytest.fixture
def session(world: World) -> Session:
    return Session.of(world.ports, world.submit({}), world.engine.open)


def test_the_engine_opens_when_it_is_needed(world: World, session: Session) -> None:
    assert run(session, []) == []
    assert world.engine.opened == 0

    run(session, [b"a"])
    run(session, [b"b"])

    assert world.engine.opened == 1


def test_only_the_file_that_crashes_the_engine_has_an_error(world: World, session: Session) -> None:
    outcomes = run(session, [b"a", b"crash", b"b", b"bad"])

    assert [type(outcome).__name__ for outcome in outcomes] == [
        "Answer",
        "HookCrashed",
        "Answer",
        "HookFailed",
    ]
    assert world.engine.opened == 3  # at first, for the first of the singles, after the culprit


def test_a_lone_file_that_crashes_is_not_tried_twice(world: World, session: Session) -> None:
    [outcome] = run(session, [b"crash"])

    assert isinstance(outcome, HookCrashed)
    assert "killed by SIGSEGV" in str(outcome)
    assert world.engine.runs == 1


def test_single_files_are_not_run_after_a_stop(world: World, session: Session) -> None:
    outcomes = run(session, [b"a", b"crash", b"b"], calls=1)

    assert outcomes == [Answer(b"A", "application/json")]
    assert world.engine.seen == ["a", "crash", "b", "a"]


def test_an_engine_that_loses_count_is_an_error(world: World) -> None:
    class Deaf(FakeEngine):
        def run(self, items: Sequence[Item], timeout_s: float) -> list[Outcome]:
            return super().run(items, timeout_s)[1:]

    session = Session.of(world.ports, world.submit({}), Deaf().open)

    with pytest.raises(HooklineError, match="The engine gave 0 outcomes for 1 files"):
        run(session, [b"a"])


def test_a_session_needs_its_model_and_its_volume(world: World) -> None:
    job = world.submit()
    with pytest.raises(NotFound, match="There is no model 2"):
        Session.of(world.ports, job, world.engine.open)

    world.model()
    with pytest.raises(NotFound, match="There is no volume 56"):
        Session.of(world.ports, job, world.engine.open)


def paced(pace: Pace, seconds: Callable[[int], float], batches: int = 40) -> int:
    """The size after so many batches of which each takes `seconds` of its size."""
    for _ in range(batches):
        pace.note(pace.items, seconds(pace.items))
    return pace.items


def test_the_pace_finds_batches_of_about_a_second() -> None:
    pace = Pace()

    assert paced(pace, lambda items: items * 0.1) in (4, 8)
    assert paced(pace, lambda items: items * 5.0) == 1
    assert paced(Pace(), lambda _: 0.001) == MAX_BATCH_ITEMS


def test_batches_that_are_over_at_once_grow_whatever_the_noise() -> None:
    pace = Pace()
    for seconds in (0.0001, 0.001, 0.0, 0.002, 0.0001, 0.004, 0.002):
        pace.note(pace.items, seconds)

    assert pace.items == MAX_BATCH_ITEMS


def test_the_last_batch_of_a_shard_says_nothing() -> None:
    pace = Pace()
    before = paced(pace, lambda _: 0.001)

    pace.note(3, seconds=0.5)

    assert pace.items == before


def test_the_pace_keeps_the_size_that_is_quickest() -> None:
    """As convolutions on a CPU: two are no slower than one, and four are."""
    per_item = {1: 0.010, 2: 0.0095, 4: 0.015, 8: 0.03}
    pace = Pace()

    assert paced(pace, lambda items: items * per_item[items]) == 2


def test_the_pace_doubts_its_choice_after_a_while() -> None:
    """A machine that was busy when four were tried is not busy for ever."""
    pace = Pace()
    busy = {1: 0.01, 2: 0.01, 4: 0.1}
    assert paced(pace, lambda items: items * busy[items], 10) in (1, 2)

    assert paced(pace, lambda _: 0.001, KEPT + 40) == MAX_BATCH_ITEMS
