"""What batches have run so far, by their sizes: how often, and what each stage took."""

from __future__ import annotations

from dataclasses import dataclass, field

from hookline.runtime.items import Laps


@dataclass(slots=True)
class Spent:
    """How often something was done, and the seconds that it took altogether."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Once more."""
        self.count += 1
        self.seconds += seconds

    def scaled(self, count: int) -> Spent:
        """As much on average, `count` times."""
        return Spent(count, self.seconds / self.count * count if self.count else 0.0)


@dataclass(slots=True)
class Stages:
    """The batches of one size."""

    batches: int = 0
    preprocess_s: float = 0.0
    predict_s: float = 0.0
    postprocess_s: float = 0.0


@dataclass(slots=True)
class Tally:
    """Batches that ran, by the number of their items; `waited_s` of all items before they ran."""

    sizes: dict[int, Stages] = field(default_factory=dict)
    waited_s: float = 0.0

    def note(self, laps: Laps, arrived_s: float) -> None:
        """A batch has run; `arrived_s` is the sum of when its items came. On the hot path."""
        stages = self.sizes.get(laps.items)
        if stages is None:
            stages = self.sizes[laps.items] = Stages()
        stages.batches += 1
        stages.preprocess_s += laps.preprocess_s
        stages.predict_s += laps.predict_s
        stages.postprocess_s += laps.postprocess_s
        self.waited_s += laps.items * laps.began_s - arrived_s

    @property
    def runs(self) -> int:
        return sum(stages.batches for stages in self.sizes.values())

    @property
    def items(self) -> int:
        return sum(size * stages.batches for size, stages in self.sizes.items())

    @property
    def waits(self) -> Spent:
        """By item: how long it waited."""
        return Spent(self.items, self.waited_s)

    def of_items(self, stage: str) -> Spent:
        """By item: how long its batch was in `stage`, a field of Stages."""
        seconds = sum(size * getattr(stages, stage) for size, stages in self.sizes.items())
        return Spent(self.items, seconds)
