from __future__ import annotations

from collections.abc import Sequence

import pytest

from hookline.batch.batch_size import MAX_BATCH_OUTPUT_BYTES
from hookline.batch.session import Session
from hookline.core.errors import HookCrashed, HooklineError, NotFound
from hookline.runtime.engine import EngineDied
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


def test_a_lone_file_that_crashes_is_tried_twice(world: World, session: Session) -> None:
    [outcome] = run(session, [b"crash"])

    assert isinstance(outcome, HookCrashed)
    assert "killed by SIGSEGV" in str(outcome)
    assert world.engine.runs == 2


def test_a_lone_file_is_not_blamed_for_one_death(world: World, session: Session) -> None:
    """As of an engine that was killed when the machine had no memory left for others."""

    def die_once() -> None:
        world.engine.on_run = lambda: None
        raise EngineDied("killed by SIGKILL")

    world.engine.on_run = die_once

    assert run(session, [b"a"]) == [Answer(b"A", "application/json")]
    assert (world.engine.runs, world.engine.opened) == (2, 2)


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


def test_large_answers_make_batches_small(world: World) -> None:
    class Loud(FakeEngine):
        def run(self, items: Sequence[Item], timeout_s: float) -> list[Outcome]:
            del timeout_s
            return [Answer(bytes(1_000_000), "text/plain") for _ in items]

    session = Session.of(world.ports, world.submit({}), Loud().open)
    for _ in range(20):
        run(session, [b"a"] * session.batch_size.items)

    assert session.batch_size.items <= MAX_BATCH_OUTPUT_BYTES // 1_000_000


def test_a_session_needs_its_model_and_its_volume(world: World) -> None:
    job = world.submit()
    with pytest.raises(NotFound, match="There is no model 2"):
        Session.of(world.ports, job, world.engine.open)

    world.model()
    with pytest.raises(NotFound, match="There is no volume 56"):
        Session.of(world.ports, job, world.engine.open)
