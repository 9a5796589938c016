"""What goes into a pipeline and what comes out of it."""

from __future__ import annotations

import msgspec

from hookline.core.errors import HooklineError
from hookline.core.timing import Timing


class Item(msgspec.Struct, frozen=True):
    """One request, or one file of a batch. `name` is the file's name, where it has one."""

    body: bytes
    mime_type: str
    name: str = ""
    request_id: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What a caller gets back, as is."""

    body: bytes
    mime_type: str


Outcome = Answer | HooklineError


class Laps:
    """How a batch spent its time. `began_s` is of the monotonic clock, the others are durations."""

    __slots__ = ("began_s", "items", "postprocess_s", "predict_s", "preprocess_s")

    def __init__(self, items: int, *ends_s: float) -> None:
        """`ends_s`: when the batch began, was preprocessed, predicted and postprocessed."""
        began_s, preprocessed_s, predicted_s, ended_s = ends_s
        self.items, self.began_s = items, began_s
        self.preprocess_s = preprocessed_s - began_s
        self.predict_s = predicted_s - preprocessed_s
        self.postprocess_s = ended_s - predicted_s

    def timing(self, arrived_s: float) -> Timing:
        """Of a request in this batch that had come whole at `arrived_s` of the monotonic clock."""
        return Timing(
            1000 * (self.began_s - arrived_s),
            1000 * self.preprocess_s,
            1000 * self.predict_s,
            1000 * self.postprocess_s,
            self.items,
        )


class Outcomes(list[Outcome]):
    """One per item of a batch, in order, and how the batch spent its time."""

    __slots__ = ("laps",)

    def __init__(self, outcomes: list[Outcome], laps: Laps) -> None:
        super().__init__(outcomes)
        self.laps = laps
