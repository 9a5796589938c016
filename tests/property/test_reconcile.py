"""Whatever the fleet does, planning converges, repeats nothing, and harms no healthy replica."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hookline.control.desired import (
    Action,
    Ensure,
    Forget,
    Idle,
    Remove,
    Revoke,
    Store,
    plan_stream,
    plan_workers,
)
from hookline.core.ports import Failure, GroupState, Process
from hookline.core.records import PLATFORM, Replica, Serving, Stream

NOW = 1000.0
LIVE = ("Deploying", "Running", "Updating")
STATUSES = (*LIVE, "Failed", "Undeploying", "Undeployed")

states: st.SearchStrategy[GroupState] = st.sampled_from(["starting", "ready", "draining", "exited"])
streams = st.builds(
    Stream,
    tenant=st.just("a"),
    id=st.just(1),
    model_id=st.just(1),
    serving=st.just(Serving()),
    replicas=st.integers(1, 3),
    status=st.sampled_from(STATUSES),
    created_at=st.just(0.0),
    updated_at=st.just(0.0),
)
processes = st.lists(
    st.builds(
        Process,
        tenant=st.just("a"),
        group=st.just("stream-1"),
        process_id=st.sampled_from("pqrst"),
        state=states,
        address=st.sampled_from(["unix:/1", "unix:/2"]),
        failure=st.none() | st.just(Failure("hook_failed", "It failed.")),
    ),
    unique_by=lambda process: process.process_id,
    max_size=5,
)
replicas = st.lists(
    st.builds(
        Replica,
        tenant=st.just("a"),
        stream_id=st.just(1),
        process_id=st.sampled_from("pqrst"),
        address=st.sampled_from(["unix:/1", "unix:/2"]),
        started_at=st.just(0.0),
        version=st.just(1),
    ),
    unique_by=lambda replica: replica.process_id,
    max_size=5,
)


class World:
    """A stream, its processes and what is published of them; it does what a plan says."""

    def __init__(self, stream: Stream, processes: list[Process], replicas: list[Replica]) -> None:
        self.stream = stream
        self.processes = {process.process_id: process for process in processes}
        self.replicas = {replica.process_id: replica for replica in replicas}
        self.tokens = 1

    def plan(self) -> list[Action]:
        found = list(self.processes.values())
        return plan_stream(self.stream, found, list(self.replicas.values()), NOW)

    def apply(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Ensure(group):
                    self._start(group.count)
                case Remove():
                    self.processes.clear()
                case Store(Stream() as stream):
                    self.stream = stream
                case Store(Replica() as replica):
                    self.replicas[replica.process_id] = replica
                case Forget(Replica() as replica):
                    del self.replicas[replica.process_id]
                case Revoke():
                    self.tokens = 0
                case _:
                    raise AssertionError(action)

    def _start(self, count: int) -> None:
        live = {
            id_: process
            for id_, process in self.processes.items()
            if process.state in ("starting", "ready")
        }
        for number in range(count - len(live)):
            live[f"new{number}"] = Process("a", "stream-1", f"new{number}", "starting")
        self.processes = dict(list(live.items())[:count])

    def settle(self) -> int:
        """Plan and apply until nothing is left to do; how many rounds it took."""
        for rounds in range(10):
            actions = self.plan()
            drained = [id_ for id_, p in self.processes.items() if p.state == "draining"]
            if not actions and not drained:
                return rounds
            self.apply(actions)
            for id_ in drained:
                self.processes.pop(id_, None)
        raise AssertionError(f"no end: {self.plan()}")


@given(streams, processes, replicas)
def test_planning_converges_soon_and_then_asks_for_nothing(
    stream: Stream, processes: list[Process], replicas: list[Replica]
) -> None:
    world = World(stream, processes, replicas)

    assert world.settle() <= 3
    assert world.plan() == []


@given(streams, processes, replicas)
def test_a_live_stream_ends_with_its_replicas_and_a_route_to_each_that_is_ready(
    stream: Stream, processes: list[Process], replicas: list[Replica]
) -> None:
    world = World(stream, processes, replicas)
    world.settle()

    ready = {
        id_: process.address for id_, process in world.processes.items() if process.state == "ready"
    }
    routed = {id_: replica.address for id_, replica in world.replicas.items()}
    if world.stream.status in LIVE:
        live = [p for p in world.processes.values() if p.state in ("starting", "ready")]
        assert len(live) == stream.replicas
        assert routed == ready
    else:
        assert world.processes == {}
        assert routed == {}


@given(streams, processes, replicas)
def test_a_healthy_replica_of_a_live_stream_is_never_removed(
    stream: Stream, processes: list[Process], replicas: list[Replica]
) -> None:
    actions = World(stream, processes, replicas).plan()

    ready = [process.process_id for process in processes if process.state == "ready"]
    if stream.status in LIVE and ready:
        assert not any(isinstance(action, Remove | Revoke) for action in actions)
        forgotten = [a.record for a in actions if isinstance(a, Forget)]
        assert not any(isinstance(r, Replica) and r.process_id in ready for r in forgotten)


@given(streams, processes, replicas)
def test_a_stream_only_moves_along_the_allowed_ways(
    stream: Stream, processes: list[Process], replicas: list[Replica]
) -> None:
    world = World(stream, processes, replicas)
    world.settle()

    allowed = {
        "Deploying": {"Deploying", "Running", "Failed"},
        "Running": {"Running"},
        "Updating": {"Updating"},
        "Failed": {"Failed"},
        "Undeploying": {"Undeployed"},
        "Undeployed": {"Undeployed"},
    }
    assert world.stream.status in allowed[stream.status]
    assert (world.stream.failure is not None) == (
        world.stream.status == "Failed" and stream.status != "Failed"
    )
    assert world.tokens == (0 if stream.status == "Undeploying" else 1)


worker_processes = st.lists(states, max_size=4).map(
    lambda states: [
        Process(PLATFORM, "worker", f"w{number}", state) for number, state in enumerate(states)
    ]
)


@given(
    st.integers(1, 4),
    worker_processes,
    st.none() | st.floats(0, NOW).map(lambda since: Idle(since=since)),
    st.booleans(),
)
def test_workers_are_removed_only_when_idle_for_a_while(
    count: int,
    processes: list[Process],
    idle: Idle | None,
    has_work: bool,  # noqa: FBT001 - drawn
) -> None:
    actions = plan_workers(count, processes, idle, NOW, has_work=has_work)

    is_removed = any(isinstance(action, Remove) for action in actions)
    was_idle = idle is not None and idle.since <= NOW - 30
    assert is_removed == (not has_work and was_idle and bool(processes))
    if has_work and sum(p.state in ("starting", "ready") for p in processes) != count:
        assert any(isinstance(action, Ensure) for action in actions)
