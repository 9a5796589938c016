"""What is sent to which network: W1 numbers, W2 a photograph, W3 tokens, W4 a camera's."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import onnx
from PIL import Image

from bench import networks, work
from bench.work import Array


@dataclass(frozen=True, slots=True)
class Workload:
    """`decode` makes the body the model's input, a batch of one; `flags` are hookline's."""

    name: str
    build: Callable[[], onnx.ModelProto]
    sent: Callable[[], bytes]
    content_type: str
    decode: Callable[[bytes], Array]
    flags: tuple[str, ...] = ()
    seconds: float = 2.0

    @property
    def body(self) -> bytes:
        """What is sent."""
        return self.sent()

    def encode(self, outputs: Array) -> bytes:
        """The least that can be answered: every number, or the best one of an image."""
        return work.encoded(
            (work.best if self.content_type == "image/jpeg" else work.values)(outputs)
        )

    def is_right(self, answer: bytes, outputs: Array) -> bool:
        """Whether a server's answer says what the model says."""
        said = json.loads(answer)
        if self.content_type == "image/jpeg":
            best = said["index"] if "index" in said else said["predictions"][0]["index"]
            return bool(best == outputs.argmax())
        return bool(np.allclose(np.ravel(said["outputs"]), outputs, rtol=1e-3, atol=1e-5))


@cache
def photograph(width: int = 500, height: int = 400, grain: float = 14.0) -> bytes:
    """A JPEG with the detail of a photograph: smooth shapes under fine noise."""
    random = np.random.default_rng(3)
    coarse = Image.fromarray(random.integers(0, 256, (10, 12, 3), np.uint8)).resize((width, height))
    noise = np.tile(
        random.normal(0, grain, (400, 500, 3)), (-(-height // 400), -(-width // 500), 1)
    )
    pixels = np.clip(np.asarray(coarse, np.float64) + noise[:height, :width], 0, 255).astype(
        np.uint8
    )
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80)
    return file.getvalue()


def all_of_them() -> dict[str, Workload]:
    """By their short names."""
    random = np.random.default_rng(1)
    numbers = json.dumps(random.random(64).round(4).tolist()).encode()
    tokens = json.dumps(random.integers(0, 30_000, networks.TOKENS).tolist()).encode()
    top = ("--formatter", "classification", "--formatter-args", '{"index": true}')
    return {
        "w1": Workload(
            "W1, 64 numbers", networks.tiny, lambda: numbers, "application/json", work.numbers
        ),
        "w2": Workload(
            "W2, a JPEG of 500 × 400",
            networks.convolutions,
            photograph,
            "image/jpeg",
            work.picture,
            top,
            4.0,
        ),
        "w3": Workload(
            "W3, 64 tokens",
            networks.encoder,
            lambda: tokens,
            "application/json",
            work.tokens,
            (),
            4.0,
        ),
        "w4": Workload(
            "W4, a JPEG of 4000 × 3000",
            networks.convolutions,
            partial(photograph, 4000, 3000, 8.0),
            "image/jpeg",
            work.picture,
            top,
            4.0,
        ),
    }
