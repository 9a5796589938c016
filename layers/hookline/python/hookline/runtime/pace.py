"""What batches cost, learned as they run: which are run at once, and which go to a thread.

A hop to a thread and back costs some tens of microseconds, more than a small model takes. What is
known to cost less is run in the event loop; everything else goes to a thread: kinds of bodies that
nobody has sent yet, large bodies, and whatever has been slow. One run that is slow, and slower than
its size explains, moves its kind to the thread at once; many quick ones there bring it back.
"""

from __future__ import annotations

from collections.abc import Sequence

from hookline.runtime.items import Item

INLINE_S = 0.001  # the longest that the event loop may stand still, by what is known
INLINE_BODY_BYTES = 16 * 1024  # a larger body may cost more than others of its kind did
_HOP_S = 150e-6  # until it is measured
_HOP_BOUNDS_S = (100e-6, INLINE_S / 2)
_IN_TRAFFIC = 3.0  # times what a hop takes while nobody else asks for the interpreter's lock
_STAY = 2.0  # what runs inline stays there until it costs this many hops
_SLOW_S = 2 * INLINE_S
_SURPRISE = 4.0  # times what a batch of its size is known to cost
_PENANCE = 40
_WEIGHT = 0.125  # of the newest run in the estimate
_DOWN_WEIGHT = 0.5  # of one that was cheaper: what disturbs a run only makes it dearer
_OUTLIER = 2.0  # times what is known: a run that was disturbed counts for no more
_MAX_KINDS = 32
_RUNS_PER_LOOK = 32
_SIZES = 16  # classes of batch sizes: 1, 2, 3-4, 5-8, …


class _Kind:
    """What is known of the bodies of one MIME type."""

    __slots__ = ("_runs", "costs_s", "is_inline", "penance", "room")

    def __init__(self) -> None:
        self.costs_s = [0.0] * _SIZES  # by class of size; 0 is not known
        self.is_inline = False
        self.penance = 0  # quick runs until it may be inline again
        self.room = 1  # the largest batch that keeps the loop for no longer than INLINE_S
        self._runs = 0

    def learn(self, count: int, spent_s: float) -> None:
        size = _class(count)
        known_s = self.costs_s[size]
        self.costs_s[size] = _estimate(known_s, spent_s) if known_s else spent_s
        if spent_s > max(_SLOW_S, _SURPRISE * known_s):
            self.penance = _PENANCE
        elif self.penance:
            self.penance -= 1
        if not known_s or not self._runs % _RUNS_PER_LOOK:
            self.room = self._room()
        self._runs += 1

    def decide(self, count: int, hop_s: float) -> None:
        allowed_s = count * hop_s * (_STAY if self.is_inline else 1.0)
        self.is_inline = not self.penance and self.costs_s[_class(count)] <= allowed_s

    def _room(self) -> int:
        costs_s = self._costs_s()
        return 1 << max(size for size in range(_SIZES) if not size or costs_s[size] <= INLINE_S)

    def _costs_s(self) -> list[float]:
        """The cost of every size: twice as many items never cost more than twice as much."""
        found = [self.costs_s[0] or min(cost_s for cost_s in self.costs_s if cost_s)]
        for known_s in self.costs_s[1:]:
            twice_s = 2 * found[-1]
            found.append(min(known_s, twice_s) if known_s else twice_s)
        return found


class Pace:
    """Costs by MIME type and size of batch; without `may_run_inline` all takes the thread."""

    def __init__(self, *, may_run_inline: bool) -> None:
        self.may_run_inline = may_run_inline
        self.hop_s = _HOP_S
        self._kinds: dict[str, _Kind] = {}

    def measured_hop(self, hop_s: float) -> None:
        """Compare with a hop as it was measured in this process, which was idle then."""
        self.hop_s = _bounded(_IN_TRAFFIC * hop_s)

    def hopped(self, hop_s: float) -> None:
        """Take note of a hop in traffic: on a busy machine it costs many times what it did idle.

        Without this, a small model that has once been sent to the thread would stay there: what
        runs after a hop finds cold caches, and so looks dearer than the hop was thought to be.
        """
        self.hop_s += _WEIGHT * (_bounded(hop_s) - self.hop_s)

    def inline_items(self, items: Sequence[Item]) -> int:
        """How many of `items`, from the first on, to run in the loop now: 0 for none."""
        mime_type = items[0].mime_type
        kind = self._kinds.get(mime_type)
        if kind is None or not kind.is_inline:
            return 0
        count = 0
        for item in items:
            if item.mime_type != mime_type or len(item.body) > INLINE_BODY_BYTES:
                break
            count += 1
        return min(count, kind.room) if count > 1 else count

    def learn(self, items: Sequence[Item], spent_s: float) -> None:
        """Take note of a batch that cost `spent_s` of CPU time."""
        mime_type, count = items[0].mime_type, len(items)
        if not self.may_run_inline or any(item.mime_type != mime_type for item in items):
            return
        kind = self._kinds.get(mime_type)
        if kind is None:
            if len(self._kinds) >= _MAX_KINDS:
                del self._kinds[next(iter(self._kinds))]
            kind = self._kinds[mime_type] = _Kind()
        kind.learn(count, spent_s)
        kind.decide(count, self.hop_s)


def _estimate(known_s: float, spent_s: float) -> float:
    weight = _WEIGHT if spent_s > known_s else _DOWN_WEIGHT
    return known_s + weight * (min(spent_s, _OUTLIER * known_s) - known_s)


def _bounded(hop_s: float) -> float:
    low, high = _HOP_BOUNDS_S
    return min(max(hop_s, low), high)


def _class(count: int) -> int:
    return min((count - 1).bit_length(), _SIZES - 1)
