"""JPEGs become pixels by the decoder that their deployment is pinned to: the same in every process.

pillow      photographs at 1/2, 1/4 or 1/8 of their size, which the format gives nearly for free
simplejpeg  the same pixels by another binding of the same library, where it is installed
exact       always at full size

A smaller scale is taken only from LARGE_PIXELS on, as smaller pictures gain little, and only where
both sides keep GAP times the pixels that the model wants, as the blur would show. What it changes
is bounded in docs/performance.md and tested on photographs.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from hookline.core.errors import ModelLoadFailed

if TYPE_CHECKING:  # a model of numbers never loads Pillow
    from PIL import Image

    from hookline.runtime.spec import DecoderName

    Box = tuple[float, float, float, float]
    Scaled = tuple[Image.Image, Box | None]

GAP = 3  # Pillow's own bound for a result close to that without it (Image.resize, reducing_gap)
LARGE_PIXELS = 1_000_000
_JPEGS = ("JPEG", "MPO")
_COLOURS = {"RGB": "RGB", "L": "GRAY"}  # what simplejpeg calls them; CMYK is left to Pillow


def require_decoder(name: DecoderName) -> None:
    """Raise ModelLoadFailed where this process lacks what a deployment is pinned to."""
    if name == "simplejpeg" and importlib.util.find_spec("simplejpeg") is None:
        raise ModelLoadFailed(
            "This deployment reads JPEGs with simplejpeg, which is not installed here.",
            hint="Install hookline[jpeg], or deploy with --decoder pillow.",
        )


def scaled(image: Image.Image, body: bytes, size: tuple[int, int], name: DecoderName) -> Scaled:
    """`image`, opened from `body`, for a resize to `size`, and the box of it that is the picture.

    The box is not all of it: at 1/4, 501 pixels become 126, of which the last has only a quarter.
    """
    if name == "exact" or image.format not in _JPEGS:
        return image, None
    drafted = None
    if image.width * image.height >= LARGE_PIXELS:
        drafted = image.draft(None, (GAP * size[0], GAP * size[1]))  # may change image.size
    if name == "simplejpeg" and image.mode in _COLOURS:
        image = _by_simplejpeg(image, body)
    return image, drafted[1] if drafted else None


def _by_simplejpeg(image: Image.Image, body: bytes) -> Image.Image:
    """What it cannot read, or reads at another scale, is Pillow's; so are the error messages."""
    import simplejpeg  # noqa: PLC0415 - an extra
    from PIL import Image  # noqa: PLC0415 - see above

    width, height = image.size
    try:
        pixels = simplejpeg.decode_jpeg(
            body,
            _COLOURS[image.mode],
            fastdct=False,
            fastupsample=False,
            min_height=height,
            min_width=width,
        )
    except ValueError:
        return image
    if pixels.shape[:2] != (height, width):
        return image
    return Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels)
