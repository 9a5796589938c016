"""How many files go to the engine at once: as many as it is quickest with, for about BATCH_S.

Tiny networks gain a hundredfold by batches, convolutions on a CPU lose. So a size is compared now
and then with its double or its half. The two take turns, as a machine has busy hours and a rate of
another hour says nothing; and the quickest batch of each counts, as noise only makes one slower.
"""

from __future__ import annotations

MAX_BATCH_ITEMS = 128
BATCH_S = 1.0  # between batches a worker looks whether the job stops
MAX_BATCH_OUTPUT_BYTES = 16 * 1024 * 1024  # of a batch, where its files allow that
TELLING_S = 0.005  # what is over sooner is too short to compare, and can only gain
SAMPLES = 3  # of each of two sizes
PATIENCE = 5 * SAMPLES  # batches that a comparison takes at most
GAIN = 1.05  # what a larger size must bring: it takes more memory, and a stop waits for it
KEPT = 96  # batches for which a size is kept before it is doubted
COLD = 1  # batches at the start that pay for much else


class BatchSize:
    """The size that is best as far as is known, or its rival's turn."""

    def __init__(self) -> None:
        self._size, self._grows = 1, True
        self._most = MAX_BATCH_ITEMS  # that keep answers below MAX_BATCH_OUTPUT_BYTES
        self._lost = 0  # a size that was worse than half of it
        self._kept = COLD
        self._trial: _Trial | None = None

    @property
    def items(self) -> int:
        """How many to run next."""
        return self._trial.turn if self._trial else self._size

    def note(self, items: int, seconds: float, output_bytes: int = 0) -> None:
        """A batch of `items` took so long. One of another size than was asked says little."""
        if output_bytes > MAX_BATCH_OUTPUT_BYTES:
            self._most = max(1, items * MAX_BATCH_OUTPUT_BYTES // output_bytes)
            self._go_to(min(self._size, self._most))
        elif seconds > BATCH_S:
            self._go_to(max(1, items // 2))
        elif seconds < TELLING_S and items >= self._size and 2 * self._size != self._lost:
            self._go_to(min(self._most, 2 * self._size))
        elif self._trial:
            self._weigh(self._trial, items, seconds / items)
        elif self._kept:
            self._kept -= 1
        elif items == self._size:
            self._challenge(seconds / items)

    def _go_to(self, size: int) -> None:
        self._size, self._trial, self._kept = size, None, COLD

    def _weigh(self, trial: _Trial, items: int, cost_s: float) -> None:
        trial.note(items, cost_s)
        if not trial.is_over:
            return
        is_won = trial.is_won(GAIN if self._grows else 1.0)
        larger_is_better = is_won == self._grows
        self._lost = 0 if larger_is_better else max(trial.rival, self._size)
        if is_won:
            self._go_to(trial.rival)
            self._challenge(cost_s)
        else:
            self._rest()

    def _challenge(self, cost_s: float) -> None:
        """Try the next size in the direction that was good so far, if there is one."""
        rival = 2 * self._size if self._grows else self._size // 2
        if 0 < rival <= self._most and rival * cost_s <= BATCH_S:
            self._trial = _Trial(self._size, rival)
        else:
            self._rest()

    def _rest(self) -> None:
        """Keep the size for a while; then the other direction has its chance."""
        self._trial, self._kept, self._grows = None, KEPT, not self._grows
        self._most = min(MAX_BATCH_ITEMS, 2 * self._most)


class _Trial:
    """Two sizes that take turns, and the best that each has cost per file."""

    def __init__(self, size: int, rival: int) -> None:
        self.rival = rival
        self._costs_s: dict[int, list[float]] = {size: [], rival: []}
        self._left = PATIENCE

    @property
    def turn(self) -> int:
        """The size that was seen less often."""
        return min(self._costs_s, key=lambda size: len(self._costs_s[size]))

    def note(self, items: int, cost_s: float) -> None:
        self._left -= 1
        if items in self._costs_s:
            self._costs_s[items].append(cost_s)

    @property
    def is_over(self) -> bool:
        return self._is_told or not self._left

    def is_won(self, gain: float) -> bool:
        """Whether the rival was seen, and an item cost that many times less with it."""
        size_s, rival_s = (min(costs_s, default=0.0) for costs_s in self._costs_s.values())
        return self._is_told and rival_s * gain <= size_s

    @property
    def _is_told(self) -> bool:
        return min(map(len, self._costs_s.values())) >= SAMPLES
