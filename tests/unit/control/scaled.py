"""A stream under a load that a table describes: gateways tell it, the reconciler follows."""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hookline.control.desired import Forget, Store
from hookline.control.scaling import plan_scale
from hookline.core.loads import Demand, Load
from hookline.core.records import Serving, Stream
from hookline.gateway.load import Told

LOADS = Path(__file__).parent / "loads"
TICK_S, SCHEDULE_S = 2, 60
START_S = 30  # from the wish to a replica that answers

Trace = Sequence[tuple[float, float]]
"""Pairs of a time and the requests in flight from then on."""


def trace(name: str) -> Trace:
    with (LOADS / f"{name}.csv").open() as file:
        return [(float(row["at_s"]), float(row["in_flight"])) for row in csv.DictReader(file)]


def elastic(least: int, most: int, target: int = 8) -> Stream:
    return Stream(
        tenant="a",
        id=1,
        model_id=1,
        serving=Serving(),
        replicas=max(1, least),
        min_replicas=least,
        max_replicas=most,
        target_in_flight=target,
        status="Running",
        created_at=0.0,
        updated_at=0.0,
    )


@dataclass
class Simulation:
    """`wanted` and `ready` at each tick, beside the load then."""

    stream: Stream
    trace: Trace
    gateways: int = 1
    loads: list[float] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._demand: Demand | None = None
        self._leases: dict[str, Load] = {}
        self._told = [Told() for _ in range(self.gateways)]

    def run(self) -> Simulation:
        times = [at for at, _ in self.trace]
        end_s = int(times[-1] + (times[-1] - times[-2]))
        for now in range(0, end_s, TICK_S):
            load = self.trace[bisect_right(times, now) - 1][1]
            self._tick(float(now), load)
            self.loads.append(load)
            self.wanted.append(self.stream.replicas)
            self.ready.append(min(self.wanted[-START_S // TICK_S :]))
        return self

    def need(self, tick: int) -> int:
        """What the load of a tick takes, within the limits."""
        exact = -(-self.loads[tick] // self.stream.target_in_flight)
        return max(self.stream.min_replicas, min(int(exact), self.stream.max_replicas))

    def _tick(self, now: float, load: float) -> None:
        has_risen = False
        if load and self.stream.replicas == 0:
            load = max(load, float(self.gateways))  # whole requests wait, at each gateway one
        for number, told in enumerate(self._told):
            news = told.news(load / self.gateways, now)
            if news:
                self._leases[str(number)] = Load(
                    tenant="a",
                    stream_id=1,
                    gateway_id=str(number),
                    in_flight=told.value,
                    updated_at=now,
                    version=1,
                )
            has_risen = has_risen or news == "risen"
        if has_risen or now % SCHEDULE_S == 0:
            self._reconcile(now)

    def _reconcile(self, now: float) -> None:
        stream, actions = plan_scale(self.stream, self._demand, list(self._leases.values()), now)
        for action in actions:
            match action:
                case Store(Stream() as changed):
                    self.stream = changed
                case Store(Demand() as demand):
                    self._demand = demand.changed(version=demand.version + 1)
                case Forget(Load() as load):
                    del self._leases[load.gateway_id]
                case _:
                    raise AssertionError(action)
        assert stream == self.stream
