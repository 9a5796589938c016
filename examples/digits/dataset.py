"""scikit-learn's bundled handwritten digits, split once and for all, and drawn as images.

1,797 digits of 8×8 pixels (UCI, "Optical Recognition of Handwritten Digits"). 105 of them, drawn
by a fixed seed and stratified, are never trained on: 100 to measure with, 5 to drop into a volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 20260704
HELD_OUT, DROPPED = 100, 5
MODEL_SIDE, IMAGE_SIDE = 8, 32

Pixels = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """Positions in the data set: three lists that share none."""

    train: Indices
    held_out: Indices
    dropped: Indices


def load() -> tuple[Pixels, Indices]:
    """Digits [1797, 8, 8], ink from 0 to 16, and what each one is, 0 to 9."""
    digits = load_digits()
    return digits.images, digits.target


def split(labels: Indices) -> Split:
    """The same split on every machine."""
    everything = np.arange(len(labels))
    rest, held_out = train_test_split(
        everything, test_size=HELD_OUT, stratify=labels, random_state=SEED
    )
    train, dropped = train_test_split(rest, test_size=DROPPED, random_state=SEED)
    return Split(train, held_out, dropped)


def draw(digit: Pixels) -> Image.Image:
    """A grey 32×32 picture, white ink on black, of one digit [8, 8]."""
    ink = np.round(digit * (255 / 16)).astype(np.uint8)
    return Image.fromarray(ink).resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BICUBIC)


def as_tensor(image: Image.Image) -> npt.NDArray[np.float32]:
    """float32 [1, 8, 8] from 0 to 1, as hookline's canned image preprocessor makes it."""
    small = image.convert("L").resize((MODEL_SIDE, MODEL_SIDE))
    return np.asarray(small, dtype=np.float32)[np.newaxis] / np.float32(255)
