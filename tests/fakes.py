"""Stand-ins that tests steer: a clock that moves when told, a fleet that starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hookline.core.ports import Failure, Group, GroupState, Process


class FakeClock:
    """Stands still until `advance`. Call it for the time, as time.time."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeFleet:
    """A fleet in memory: `groups` is what was asked for; tests say what its processes do.

    `looks`: how often it was observed.
    """

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.groups: dict[tuple[str, str], Group] = {}
        self.processes: dict[tuple[str, str], list[Process]] = {}
        self.lines: dict[tuple[str, str], list[str]] = {}
        self.looks = 0
        self._clock = clock or FakeClock()
        self._started = 0

    def ensure(self, group: Group) -> None:
        place = (group.tenant, group.name)
        self.groups[place] = group
        running = self.processes.setdefault(place, [])
        del running[group.count :]
        while len(running) < group.count:
            running.append(self._start(group))

    def observe(self, tenant: str = "", group: str = "") -> Sequence[Process]:
        self.looks += 1
        return [
            process
            for (owner, name), running in self.processes.items()
            if tenant in ("", owner) and group in ("", name)
            for process in running
        ]

    def remove(self, tenant: str, group: str) -> None:
        self.groups.pop((tenant, group), None)
        self.processes.pop((tenant, group), None)

    def logs(self, tenant: str, group: str, *, after: int = 0) -> tuple[Sequence[str], int]:
        lines = self.lines.get((tenant, group), [])
        return lines[after:], len(lines)

    def become(
        self, tenant: str, group: str, state: GroupState, *, failure: Failure | None = None
    ) -> None:
        """Every process of the group is in `state` from now on."""
        running = self.processes[tenant, group]
        running[:] = [replace(process, state=state, failure=failure) for process in running]

    def say(self, tenant: str, group: str, line: str) -> None:
        """Add a line to the group's log."""
        self.lines.setdefault((tenant, group), []).append(line)

    def _start(self, group: Group) -> Process:
        self._started += 1
        process_id = f"p{self._started}"
        return Process(
            group.tenant,
            group.name,
            process_id,
            "starting",
            address=f"unix:/run/{process_id}.sock",
            started_at=self._clock(),
        )
