"""Shares out the NeuronCores of a machine: contiguous groups, each for one process.

The runtime gives a process the cores that NEURON_RT_VISIBLE_CORES names, one range of them, and a
core belongs to that process until it ends. Cores of a chip share its memory, and only neighbouring
chips are linked. So a group no larger than a chip lies within one, and a larger group, a model
compiled as a pipeline, begins with a chip's first core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hookline.core.errors import InvalidInput, Unavailable

Target = Literal["inf1", "inf2"]
CORES_PER_CHIP: dict[str, int] = {"inf1": 4, "inf2": 2}
MAX_CORES = 64  # inf1.24xlarge has the most


@dataclass(frozen=True, slots=True)
class Machine:
    """The chips of one machine, in the order in which the runtime numbers their cores."""

    target: Target
    chips: int

    @property
    def cores_per_chip(self) -> int:
        return CORES_PER_CHIP[self.target]

    @property
    def cores(self) -> int:
        return self.chips * self.cores_per_chip


@dataclass(frozen=True, slots=True, order=True)
class CoreGroup:
    """`count` neighbouring cores from `first` on."""

    first: int
    count: int

    @property
    def visible(self) -> str:
        """As NEURON_RT_VISIBLE_CORES takes it: `3`, or `4-7`."""
        return str(self.first) if self.count == 1 else f"{self.first}-{self.first + self.count - 1}"

    @property
    def cores(self) -> range:
        return range(self.first, self.first + self.count)


@dataclass(frozen=True, slots=True)
class Wish:
    """A process of the model `name` that needs `cores` neighbouring cores."""

    name: str
    cores: int


def plan(
    machine: Machine, wishes: Sequence[Wish], taken: frozenset[int] = frozenset()
) -> list[CoreGroup]:
    """A group for each wish, in their order; cores in `taken` belong to others.

    On a machine of which nothing is taken every set of wishes that fits at all is placed. Raise
    InvalidInput for a wish that no machine of this kind can hold, Unavailable where there is no
    room now.
    """
    found: dict[int, CoreGroup] = {}
    used = set(taken)
    for index in sorted(range(len(wishes)), key=lambda i: -wishes[i].cores):
        wish = wishes[index]
        _check(machine, wish)
        group = _best(machine, wish.cores, used)
        if group is None:
            raise Unavailable(
                f"There is no room for {wish.name}, which needs {_cores(wish.cores)} in a row.",
                why=f"{len(used)} of the machine's {_cores(machine.cores)} are taken.",
                hint="Use a larger instance, fewer replicas, or undeploy a stream.",
            )
        found[index] = group
        used.update(group.cores)
    return [found[index] for index in range(len(wishes))]


def fill(machine: Machine, cores: int, taken: frozenset[int] = frozenset()) -> list[CoreGroup]:
    """As many groups of `cores` as fit. Raise as `plan` does where there is not even one."""
    groups = plan(machine, [Wish("the model", cores)], taken)
    used = taken.union(groups[0].cores)
    while (group := _best(machine, cores, used)) is not None:
        groups.append(group)
        used |= set(group.cores)
    return sorted(groups)


def _check(machine: Machine, wish: Wish) -> None:
    if 1 <= wish.cores <= machine.cores:
        return
    raise InvalidInput(
        f"{wish.name} needs {_cores(wish.cores)}, and the machine has {machine.cores}.",
        why=f"It has {machine.chips} {machine.target} chips of {machine.cores_per_chip} cores.",
        hint="Compile the model for fewer cores, or use a larger instance.",
    )


def _best(machine: Machine, cores: int, used: set[int] | frozenset[int]) -> CoreGroup | None:
    """The place that leaves the smallest hole behind it; of equal ones the first."""
    size = machine.cores_per_chip
    if cores <= size:
        holes = [hole for hole in _holes(machine, used) if hole.count >= cores]
        best = min(holes, key=lambda hole: (hole.count, hole.first), default=None)
        return CoreGroup(best.first, cores) if best else None
    starts = range(0, machine.cores - cores + 1, size)
    return next(
        (
            CoreGroup(start, cores)
            for start in starts
            if used.isdisjoint(range(start, start + cores))
        ),
        None,
    )


def _holes(machine: Machine, used: set[int] | frozenset[int]) -> Iterator[CoreGroup]:
    """The free runs of cores within each chip."""
    for chip in range(machine.chips):
        first, count = 0, 0
        for core in range(chip * machine.cores_per_chip, (chip + 1) * machine.cores_per_chip):
            if core in used:
                if count:
                    yield CoreGroup(first, count)
                count = 0
                continue
            first = core if not count else first
            count += 1
        if count:
            yield CoreGroup(first, count)


def _cores(count: int) -> str:
    return "1 NeuronCore" if count == 1 else f"{count} NeuronCores"
