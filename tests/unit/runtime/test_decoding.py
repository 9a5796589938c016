from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hookline.core.errors import InvalidInput, ModelLoadFailed
from hookline.runtime.decoding import scaled
from hookline.runtime.model import Model
from hookline.runtime.spec import DecoderName
from tests import onnx_models
from tests.unit.runtime.bodies import NOISE, encoded, load, prepared

PHOTOS = Path(__file__).parents[3] / "examples" / "photo" / "photos"
ROTATED = Image.Exif()
ROTATED[0x0112] = 6  # the EXIF tag Orientation: turned by 90°
# The documented tolerance, of 255 (docs/performance.md).
MEAN, MOST, MAX = 1.0, 6.0, 24.0


def photograph() -> Image.Image:
    """The real ones of the examples, side by side twice: large enough to be scaled."""
    pictures = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]
    width, height = pictures[0].size
    wall = Image.new("RGB", (2 * width, 2 * height))
    for place in range(4):
        picture = pictures[place % len(pictures)].resize((width, height))
        wall.paste(picture, (place // 2 * width, place % 2 * height))
    return wall


def photographs() -> Iterator[tuple[str, bytes]]:
    """As cameras, scanners and editors save them."""
    picture = photograph()
    yield "usual", encoded(picture, "JPEG")
    yield "progressive", encoded(picture, "JPEG", progressive=True)
    yield "444", encoded(picture, "JPEG", quality=95, subsampling=0)
    yield "422", encoded(picture, "JPEG", subsampling=1)
    yield "coarse", encoded(picture, "JPEG", quality=30)
    yield "gray", encoded(picture.convert("L"), "JPEG")
    yield "cmyk", encoded(picture.convert("CMYK"), "JPEG")
    yield "rotated", encoded(picture, "JPEG", exif=ROTATED)
    yield "odd", encoded(picture.crop((0, 0, 1277, 853)), "JPEG")
    yield "small", encoded(picture.crop((0, 0, 640, 427)), "JPEG")


BODIES = dict(photographs())
SIDES = (33, 64, 107)


def model_of(tmp_path: Path, decoder: DecoderName, side: int = 32, channels: int = 3) -> Model:
    path = onnx_models.image_mean(tmp_path / f"{side}.onnx", channels, side, side)
    return load(path, decoder=decoder)


def pixels(body: bytes, model: Model) -> np.ndarray[Any, Any]:
    return np.asarray(prepared(body, "image/jpeg", model), np.float64)


@pytest.mark.parametrize("name", BODIES)
def test_a_smaller_scale_changes_pixels_within_the_documented_tolerance(
    tmp_path: Path, name: str
) -> None:
    for side in SIDES:
        exact = pixels(BODIES[name], model_of(tmp_path, "exact", side))
        apart = np.abs(pixels(BODIES[name], model_of(tmp_path, "pillow", side)) - exact)
        assert apart.mean() <= MEAN
        assert np.percentile(apart, 99) <= MOST
        assert apart.max() <= MAX


@pytest.mark.parametrize("name", BODIES)
def test_both_decoders_give_the_same_pixels(tmp_path: Path, name: str) -> None:
    pytest.importorskip("simplejpeg")
    for side in SIDES:
        by_pillow = pixels(BODIES[name], model_of(tmp_path, "pillow", side))
        by_the_other = pixels(BODIES[name], model_of(tmp_path, "simplejpeg", side))
        assert np.array_equal(by_pillow, by_the_other)


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_and_colour_models_read_every_kind_of_jpeg(tmp_path: Path, channels: int) -> None:
    pytest.importorskip("simplejpeg")
    for body in BODIES.values():
        by_pillow = pixels(body, model_of(tmp_path, "pillow", 40, channels))
        by_the_other = pixels(body, model_of(tmp_path, "simplejpeg", 40, channels))
        assert np.array_equal(by_pillow, by_the_other)


def decoded_size(body: bytes, size: tuple[int, int], decoder: DecoderName) -> tuple[int, int]:
    opened = Image.open(io.BytesIO(body))
    return scaled(opened, body, size, decoder)[0].size


@pytest.mark.parametrize(
    ("side", "width"),
    [(20, 160), (53, 160), (54, 320), (106, 320), (107, 640), (213, 640), (214, 1280), (999, 1280)],
)
def test_a_scale_keeps_three_times_the_pixels_that_the_model_wants(side: int, width: int) -> None:
    body = encoded(Image.new("RGB", (1280, 1280)), "JPEG")
    assert decoded_size(body, (side, side), "pillow")[0] == width


def test_exact_never_takes_a_smaller_scale() -> None:
    body = encoded(Image.new("RGB", (1280, 1280)), "JPEG")
    assert decoded_size(body, (8, 8), "exact") == (1280, 1280)


def test_a_picture_that_is_not_large_is_read_at_full_size() -> None:
    body = encoded(Image.new("RGB", (1000, 999)), "JPEG")
    assert decoded_size(body, (8, 8), "pillow") == (1000, 999)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_other_formats_are_read_at_full_size(kind: str) -> None:
    body = encoded(Image.new("RGB", (1280, 1280)), kind)
    assert decoded_size(body, (8, 8), "pillow") == (1280, 1280)


def test_a_picture_far_from_square_is_not_scaled_below_its_short_side() -> None:
    body = encoded(Image.new("RGB", (20_000, 60)), "JPEG")
    assert decoded_size(body, (10, 100), "pillow") == (20_000, 60)


@pytest.mark.parametrize("decoder", ["pillow", "simplejpeg", "exact"])
def test_a_damaged_jpeg_fails_in_the_same_words_with_every_decoder(
    tmp_path: Path, decoder: DecoderName
) -> None:
    if decoder == "simplejpeg":
        pytest.importorskip("simplejpeg")
    body = encoded(NOISE, "JPEG")[:-200]
    with pytest.raises(InvalidInput, match="cannot be decoded") as caught:
        pixels(body, model_of(tmp_path, decoder))
    assert "truncated" in caught.value.why


def test_a_process_without_the_pinned_decoder_refuses_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "simplejpeg", None)  # as import does where it is missing
    with pytest.raises(ModelLoadFailed, match="simplejpeg, which is not installed") as caught:
        model_of(tmp_path, "simplejpeg")
    assert "hookline[jpeg]" in caught.value.hint
