"""However models ask for NeuronCores: groups are whole, apart, and packed as well as can be."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import combinations

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from hookline.core.errors import InvalidInput, Unavailable
from hookline.core.neuroncores import CoreGroup, Machine, Wish, fill, plan

MACHINES = st.builds(Machine, st.sampled_from(["inf1", "inf2"]), st.integers(1, 16))
SMALL = st.one_of(
    st.builds(Machine, st.just("inf1"), st.integers(1, 3)),
    st.builds(Machine, st.just("inf2"), st.integers(1, 5)),
)


def sizes(machine: Machine, most: int) -> st.SearchStrategy[list[int]]:
    small = st.integers(1, machine.cores_per_chip)
    return st.lists(st.one_of(small, st.integers(1, machine.cores)), min_size=1, max_size=most)


def wishes(counts: list[int]) -> list[Wish]:
    return [Wish(f"model {index}", count) for index, count in enumerate(counts)]


def allowed(machine: Machine, count: int) -> list[CoreGroup]:
    """Every group of that size by the rules, written down without the planner."""
    size = machine.cores_per_chip
    firsts = range(machine.cores - count + 1)
    if count > size:
        return [CoreGroup(first, count) for first in firsts if first % size == 0]
    return [
        CoreGroup(first, count) for first in firsts if first // size == (first + count - 1) // size
    ]


def can_be_placed(machine: Machine, counts: list[int], used: int = 0) -> bool:
    """Try everything."""

    @cache
    def look(left: tuple[int, ...], used: int) -> bool:
        if not left:
            return True
        masks = (sum(1 << core for core in g.cores) for g in allowed(machine, left[0]))
        return any(not used & mask and look(left[1:], used | mask) for mask in masks)

    return look(tuple(sorted(counts, reverse=True)), used)


@given(data=st.data(), machine=MACHINES)
@settings(max_examples=300, deadline=None)
def test_groups_are_contiguous_apart_and_within_their_chips(
    data: st.DataObject, machine: Machine
) -> None:
    counts = data.draw(sizes(machine, 12))
    taken = frozenset(data.draw(st.sets(st.integers(0, machine.cores - 1))))
    try:
        groups = plan(machine, wishes(counts), taken)
    except Unavailable:
        event("no room")
        return
    event("placed")
    assert [group.count for group in groups] == counts
    used = Counter(core for group in groups for core in group.cores)
    assert set(used.values()) == {1}
    assert taken.isdisjoint(used)
    assert all(group in allowed(machine, group.count) for group in groups)


@given(data=st.data(), machine=SMALL)
@settings(max_examples=300, deadline=None)
def test_what_fits_an_empty_machine_at_all_is_placed(data: st.DataObject, machine: Machine) -> None:
    counts = data.draw(sizes(machine, 7))
    is_possible = can_be_placed(machine, counts)
    event(f"possible: {is_possible}")
    try:
        plan(machine, wishes(counts))
    except Unavailable:
        assert not is_possible, counts
    else:
        assert is_possible, counts


@given(data=st.data(), machine=SMALL)
@settings(max_examples=300, deadline=None)
def test_one_more_is_placed_where_it_leaves_the_smallest_hole(
    data: st.DataObject, machine: Machine
) -> None:
    count = data.draw(st.integers(1, machine.cores_per_chip))
    taken = frozenset(data.draw(st.sets(st.integers(0, machine.cores - 1))))
    free = [g for g in allowed(machine, count) if taken.isdisjoint(g.cores)]
    if not free:
        with pytest.raises(Unavailable, match="no room"):
            plan(machine, wishes([count]), taken)
        return
    (group,) = plan(machine, wishes([count]), taken)
    assert hole(machine, taken, group) == min(hole(machine, taken, other) for other in free)


def hole(machine: Machine, taken: frozenset[int], group: CoreGroup) -> int:
    """How long the free run of the chip is that the group lies in."""
    size = machine.cores_per_chip
    chip = range(group.first // size * size, group.first // size * size + size)
    runs = (
        range(first, last + 1)
        for first, last in [*combinations(chip, 2), *((core, core) for core in chip)]
    )
    around = [run for run in runs if set(group.cores) <= set(run) and taken.isdisjoint(run)]
    return max(len(run) for run in around)


@given(data=st.data(), machine=MACHINES)
@settings(max_examples=300, deadline=None)
def test_replicas_fill_a_machine_until_no_more_fits(data: st.DataObject, machine: Machine) -> None:
    count = data.draw(st.integers(1, machine.cores))
    groups = fill(machine, count)
    size = machine.cores_per_chip
    per_chip, chips_each = size // count, -(-count // size)
    expected = machine.chips * per_chip if count <= size else machine.chips // chips_each
    assert len(groups) == expected
    assert len({core for group in groups for core in group.cores}) == expected * count


@pytest.mark.parametrize("count", [0, -1, 17])
def test_what_no_machine_of_the_kind_holds_is_refused(count: int) -> None:
    with pytest.raises(InvalidInput, match="the machine has 16"):
        plan(Machine("inf1", 4), [Wish("bert", count)])


def test_a_group_reads_as_the_runtime_takes_it() -> None:
    assert [CoreGroup(3, 1).visible, CoreGroup(4, 4).visible] == ["3", "4-7"]
