"""image/*: decode, convert to the model's channels, resize, and lay out as the model wants.

The seed's rules: the mode follows from the channel count (1 → L, 3 → RGB), the size is (W, H) of
the model's input, the values are 0 to 255 in float32 unless the model takes another dtype or says
how to prepare them. Pixels stay as they are stored: EXIF orientation is not applied, alpha is
dropped, of several frames the first counts. 16-bit samples lose their lower byte. What reads JPEGs,
and at which scale, is in `runtime.decoding`.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from hookline.core.errors import InvalidInput
from hookline.runtime.decoding import scaled
from hookline.runtime.fitting import Array, Shape
from hookline.runtime.spec import DecoderName, Preparation

# Pillow knows dozens of formats; each of them is a parser that strangers could feed.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 89_478_485  # Pillow's own limit, a quarter of a gigabyte in RGB
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_BROKEN = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,  # an error where the process made it one, as below
)

# Pillow only warns between its limit and twice that; in this process the limit is one.
warnings.simplefilter("error", Image.DecompressionBombWarning)


def preprocess(input: bytes, model: Any) -> Array:  # noqa: A002 - the seed's name
    """The image as the model's first input: float32 [C, H, W], or [H, W, C] where it wants that."""
    slot = model.first
    channels, height, width = _image_shape(slot.in_shape, slot.name)
    image = _decoded(input, _MODES[channels], (width, height), model.decoder)
    pixels = _prepared(np.asarray(image), model.preparation, slot.dtype)
    if len(slot.shape) == 2:  # noqa: PLR2004 - [H, W], a gray image without a channel axis
        return pixels
    pixels = pixels.reshape(*pixels.shape[:2], channels)
    return pixels if slot.is_channels_last else pixels.transpose(2, 0, 1)


def _image_shape(in_shape: Shape, name: str) -> Shape:
    """(C, H, W) of the model's images, -1 for a free height or width."""
    shape = (1, *in_shape) if len(in_shape) == 2 else in_shape  # noqa: PLR2004 - [H, W]
    if len(shape) != 3 or shape[0] not in _MODES:  # noqa: PLR2004 - (C, H, W)
        raise InvalidInput(
            "The model takes no images.",
            why=f"Its input {name} has the shape {list(in_shape)} for one example.",
            hint="An image needs (1 or 3, H, W) or (H, W, 1 or 3). A preprocess hook can adapt it.",
        )
    return shape


def _decoded(body: bytes, mode: str, wanted: tuple[int, int], decoder: DecoderName) -> Image.Image:
    """`wanted`: (W, H), -1 for that of the image."""
    if not body:
        raise InvalidInput("The image is empty.", hint="Send the bytes of an image file.")
    try:
        image: Image.Image = Image.open(io.BytesIO(body), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise InvalidInput(
                f"The image has {image.width} × {image.height} pixels.",
                why=f"At most {MAX_PIXELS} are decoded.",
            )
        width, height = (
            own if side < 0 else side for own, side in zip(image.size, wanted, strict=True)
        )
        image, box = scaled(image, body, (width, height), decoder)
        image = _converted(image, mode)
        return image if image.size == (width, height) else image.resize((width, height), box=box)
    except _BROKEN as error:
        raise InvalidInput(
            "The image cannot be decoded.",
            why=_cause(error),
            hint=f"Send a whole {', '.join(FORMATS)}.",
        ) from error


def _cause(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):  # its own words hold an address in memory
        return "Its first bytes are those of no image."
    return f"{type(error).__name__}: {error}."


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # else Pillow warns, and the colours are the same
    elif image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 0xFFFF) >> 8).astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def _prepared(pixels: Array, preparation: Preparation, dtype: np.dtype[Any]) -> Array:
    """(pixel * scale - mean) / std per channel, in `dtype`; pixels: uint8 [H, W] or [H, W, C]."""
    if preparation.scale == 1.0 and not preparation.mean and not preparation.std:
        return pixels.astype(dtype)
    values = pixels.astype(np.float32)
    values *= np.float32(preparation.scale)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1  # noqa: PLR2004 - [H, W, C]
    for given in (preparation.mean, preparation.std):
        if len(given) not in (0, 1, channels):
            raise InvalidInput(
                f"The model's preparation has {len(given)} values for {channels} channels.",
                hint="Import the model again with one mean and std per channel.",
            )
    if preparation.mean:
        values -= np.asarray(preparation.mean, np.float32)
    if preparation.std:
        values /= np.asarray(preparation.std, np.float32)
    return values.astype(dtype, copy=False)
