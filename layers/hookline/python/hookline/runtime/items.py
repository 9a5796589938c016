"""What goes into a pipeline and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hookline.core.errors import HooklineError
from hookline.core.timing import Timing

TENSORS = "application/vnd.hookline.tensors"  # the kind of a TensorItem that has an example


class Item(msgspec.Struct, frozen=True):
    """One request, or one file of a batch. `name` is the file's name, where it has one.

    `accept`: what a caller of SageMaker's path would like to get.
    """

    body: bytes
    mime_type: str
    name: str = ""
    request_id: str = ""
    accept: str = ""


class TensorItem(Item, frozen=True):
    """One row of a request that wants tensors back.

    `example` is what the model takes, as it takes it; without one, `body` is a file.
    """

    example: Mapping[str, Any] | None = None


class Answer(msgspec.Struct, frozen=True):
    """What a caller gets back, as is."""

    body: bytes
    mime_type: str


class TensorAnswer(Answer, frozen=True):
    """What a TensorItem gets back: arrays by name, without a batch axis."""

    tensors: Mapping[str, Any] = {}


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

    laps: Laps
