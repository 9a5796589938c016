"""The work of a prediction apart from any server: body → input → model → answer.

Every server of the bench does this and nothing else, hookline apart, which has its own. It needs
msgspec, numpy, Pillow and onnxruntime alone, as it runs in the peers' environments too.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from PIL import Image

Array = np.ndarray[Any, Any]
SIDE = 224


def numbers(body: bytes) -> Array:
    return np.array(msgspec.json.decode(body), np.float32)[np.newaxis]


def tokens(body: bytes) -> Array:
    return np.array(msgspec.json.decode(body), np.int64)[np.newaxis]


def picture(body: bytes) -> Array:
    image = Image.open(io.BytesIO(body)).convert("RGB").resize((SIDE, SIDE))
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1)
    return np.ascontiguousarray(pixels)[np.newaxis]


def values(outputs: Array) -> dict[str, Any]:
    return {"outputs": outputs.tolist()}


def best(outputs: Array) -> dict[str, Any]:
    return {"index": int(outputs.argmax())}


DECODE: dict[str, Callable[[bytes], Array]] = {
    "w1": numbers,
    "w2": picture,
    "w3": tokens,
    "w4": picture,
}
ANSWER: dict[str, Callable[[Array], dict[str, Any]]] = {
    "w1": values,
    "w2": best,
    "w3": values,
    "w4": best,
}
PHOTOGRAPHS = frozenset({"w2", "w4"})


def session(model: str, threads: int = 1) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Work:
    """One workload on one model."""

    def __init__(self, name: str, model: str) -> None:
        self.decode, self.answer = DECODE[name], ANSWER[name]
        self.session = session(model)

    @classmethod
    def told(cls) -> Work:
        """What BENCH_WORKLOAD and BENCH_MODEL ask for: some peers own their command line."""
        return cls(os.environ["BENCH_WORKLOAD"], os.environ["BENCH_MODEL"])

    def outputs(self, inputs: Array) -> Array:
        """The model on a batch."""
        found: Array = self.session.run(None, {"x": inputs})[0]
        return found

    def one(self, body: bytes) -> dict[str, Any]:
        return self.answer(self.outputs(self.decode(body))[0])

    def many(self, bodies: Sequence[bytes]) -> list[dict[str, Any]]:
        """A batch in one run of the model."""
        found = self.outputs(np.concatenate([self.decode(body) for body in bodies]))
        return [self.answer(row) for row in found]


def encoded(answer: dict[str, Any]) -> bytes:
    return msgspec.json.encode(answer)
