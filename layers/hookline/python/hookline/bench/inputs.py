"""Bodies to send when there is no file: random ones, the same in each run."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from hookline.core.errors import BadRequest

_WORDS = ("a", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "runs", "on")
_GREY, _COLOUR = 2, 3
_HERTZ = 16_000

Shape = tuple[int, ...]


def generated(mime_type: str, shape: Shape, count: int) -> list[bytes]:
    """`count` bodies for one example each. Raise BadRequest for a type that cannot be made.

    `shape`: of an image height, width and perhaps channels; of text the words, of audio the
    samples; of anything else that of the example.
    """
    make = _MAKERS.get(mime_type)
    if make is None:
        raise BadRequest(
            f"Nothing of the type {mime_type} can be made up.",
            why=f"What can is {', '.join(sorted(_MAKERS))}.",
            hint="Send files: --input FILE.",
        )
    chance = np.random.default_rng(0)
    return [make(chance, shape) for _ in range(count)]


def _json(chance: np.random.Generator, shape: Shape) -> bytes:
    return json.dumps(chance.standard_normal(shape).round(6).tolist()).encode()


def _csv(chance: np.random.Generator, shape: Shape) -> bytes:
    values = chance.standard_normal(shape).ravel()
    return ",".join(f"{value:.6f}" for value in values).encode()


def _npy(chance: np.random.Generator, shape: Shape) -> bytes:
    file = io.BytesIO()
    np.save(file, chance.standard_normal(shape).astype(np.float32), allow_pickle=False)
    return file.getvalue()


def _text(chance: np.random.Generator, shape: Shape) -> bytes:
    return " ".join(chance.choice(_WORDS, size=int(np.prod(shape)))).encode()


def _wav(chance: np.random.Generator, shape: Shape) -> bytes:
    file = io.BytesIO()
    samples = (8000 * chance.standard_normal(int(np.prod(shape)))).clip(-32768, 32767)
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_HERTZ)
        sound.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def _image(form: str) -> Callable[[np.random.Generator, Shape], bytes]:
    def make(chance: np.random.Generator, shape: Shape) -> bytes:
        if len(shape) not in (_GREY, _COLOUR) or (len(shape) == _COLOUR and shape[2] not in (1, 3)):
            raise BadRequest(
                f"{','.join(map(str, shape))} is not the shape of an image.",
                hint="Give --shape HEIGHT,WIDTH or --shape HEIGHT,WIDTH,CHANNELS.",
            )
        height, width = shape[:2]
        mode = "L" if len(shape) == _COLOUR and shape[2] == 1 else "RGB"
        # Noise magnified: with the detail of a photograph, it takes about as many bytes.
        small = chance.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
        whole = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        grain = chance.integers(-6, 7, (height, width, 3))
        pixels = (np.asarray(whole).astype(np.int16) + grain).clip(0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(file, form)
        return file.getvalue()

    return make


_MAKERS: dict[str, Callable[[np.random.Generator, Shape], bytes]] = {
    "application/json": _json,
    "application/x-npy": _npy,
    "audio/wav": _wav,
    "image/jpeg": _image("JPEG"),
    "image/png": _image("PNG"),
    "text/csv": _csv,
    "text/plain": _text,
}


def shape_of(text: str) -> Shape:
    """`3,224,224` as numbers. Raise ValueError for anything else."""
    found = tuple(int(part) for part in text.replace("x", ",").split(","))
    if min(found) < 1:
        raise ValueError(text)
    return found


def levels_of(text: str) -> Sequence[float]:
    """`1,8,32`, or `START:END` or `START:END:STEP` with END included. Raise ValueError."""
    if ":" in text:
        start, end, step = (*map(float, text.split(":")), 1.0)[:3]
        if step <= 0 or (end - start) / step >= _MAX_LEVELS:
            raise ValueError(text)
        found = [start + step * at for at in range(int((end - start) / step + 1e-9) + 1)]
    else:
        found = [float(part) for part in text.split(",")]
    if not found or not all(0 < level < float("inf") for level in found):
        raise ValueError(text)
    return found


_MAX_LEVELS = 100
