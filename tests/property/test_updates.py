"""Whatever the new processes of a stream do, those that answer are not taken away."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hookline.control.desired import GRACE_S, Ensure, Forget, Remove, Store, plan_stream
from hookline.core.ports import Failure, Process
from hookline.core.records import Former, Replica, Serving, Stream

BOOM = Failure("hook_failed", "init raised ValueError.")
events = st.lists(st.sampled_from(["ready", "ready", "die", "wait", "look", "look"]), max_size=25)


class World:
    """A stream of model 1 that is to answer with model 2. Two seconds pass at each look."""

    def __init__(self, count: int) -> None:
        former = Former(model_id=1, serving=Serving(), revision=1)
        self.stream = Stream(
            tenant="a",
            id=1,
            model_id=2,
            serving=Serving(),
            replicas=count,
            revision=2,
            former=former,
            status="Updating",
            created_at=0.0,
            updated_at=0.0,
        )
        self.now, self.made = 0.0, 0
        self.processes: dict[str, Process] = {}
        self.published: dict[str, Replica] = {}
        self.forgotten_at: dict[str, float] = {}
        self._start("stream-1", count)
        for process_id in self.processes:
            self.turn(process_id, "ready")

    def of(self, group: str, state: str = "") -> list[Process]:
        return [p for p in self.processes.values() if p.group == group and state in ("", p.state)]

    def turn(self, process_id: str, state: str) -> None:
        failure = BOOM if state == "exited" else None
        process = self.processes[process_id]
        self.processes[process_id] = replace(process, state=state, failure=failure)  # type: ignore[arg-type]  # one of the states

    def happens(self, event: str) -> None:
        starting = [p for p in self.processes.values() if p.state == "starting"]
        if event in ("ready", "die") and starting:
            self.turn(starting[0].process_id, "ready" if event == "ready" else "exited")
        if event in ("wait", "look"):
            self.now += 2
        if event == "look":
            self.look()

    def look(self) -> bool:
        seen = [p for p in self.processes.values() if p.group in self.stream.groups]
        actions = plan_stream(self.stream, seen, list(self.published.values()), self.now)
        for action in actions:
            match action:
                case Ensure(group):
                    self._start(group.name, group.count - len(self.of(group.name)))
                case Remove(_, name):
                    self._remove(name)
                case Store(Stream() as stream):
                    self.stream = stream
                case Store(Replica() as replica):
                    self.published[replica.process_id] = replica
                case Forget(Replica() as replica):
                    del self.published[replica.process_id]
                    self.forgotten_at[replica.process_id] = self.now
                case _:
                    raise AssertionError(action)
        return bool(actions)

    def _start(self, group: str, count: int) -> None:
        for _ in range(count):
            self.made += 1
            id_ = f"p{self.made}"
            self.processes[id_] = Process("a", group, id_, "starting", address=f"unix:/{id_}")

    def _remove(self, group: str) -> None:
        for process in self.of(group):
            if process.state == "ready":
                assert process.process_id not in self.published
                was_published = process.process_id in self.forgotten_at
                assert not was_published or (
                    self.now - self.forgotten_at[process.process_id] >= GRACE_S
                )
            del self.processes[process.process_id]


@given(st.integers(1, 3), events)
def test_an_update_ends_with_the_new_or_the_old_and_always_answers(
    count: int, events: list[str]
) -> None:
    world = World(count)
    world.look()
    assert len(world.published) == count
    for event in events:
        world.happens(event)
        answering = [id_ for id_ in world.published if world.processes[id_].state == "ready"]
        assert len(answering) >= count

    while world.stream.status == "Updating":
        for process in world.of("stream-1-2", "starting"):
            world.turn(process.process_id, "ready")
        world.look()
    has_failed = world.stream.failure is not None
    assert (world.stream.status, world.stream.model_id) == ("Running", 1 if has_failed else 2)
    world.now += GRACE_S
    for _ in range(4):
        world.look()
    assert not world.look()
    assert {p.group for p in world.processes.values()} == {world.stream.group}
    assert world.stream.former is None
    assert len(world.published) == count
