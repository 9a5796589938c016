from __future__ import annotations

import io
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hookline.core.errors import InvalidInput
from hookline.runtime.model import Model
from hookline.runtime.preprocessors import image
from hookline.runtime.spec import Preparation
from tests import onnx_models
from tests.unit.runtime.bodies import GRAY, NOISE, RGB, encoded, load, prepared


@pytest.fixture
def rgb_model(tmp_path: Path) -> Model:
    return load(onnx_models.image_mean(tmp_path / "rgb.onnx"))


def test_an_image_becomes_float32_channels_first(rgb_model: Model) -> None:
    found = prepared(encoded(RGB), "image/png", rgb_model)
    assert found.dtype == np.float32
    assert np.array_equal(found, RGB.transpose(2, 0, 1))


def test_the_canned_preprocessor_equals_the_seeds_own_example(rgb_model: Model) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))
    body = encoded(picture, "JPEG")
    in_shape = rgb_model.layers.in_shape
    seeds = Image.open(io.BytesIO(body)).convert(mode="RGB").resize((in_shape[2], in_shape[1]))
    column = np.array(seeds).astype("float32").transpose(2, 0, 1).reshape(-1, 1)
    assert np.array_equal(prepared(body, "image/jpeg", rgb_model).reshape(-1, 1), column)


def test_channels_last_models_get_channels_last(tmp_path: Path) -> None:
    model = load(onnx_models.image_mean(tmp_path / "m.onnx", layout="NHWC"))
    assert np.array_equal(prepared(encoded(RGB), "image/png", model), RGB)


def test_a_layout_given_by_hand_wins(tmp_path: Path) -> None:
    path = onnx_models.image_mean(tmp_path / "m.onnx", 3, 3, 3, layout="NHWC")
    square = RGB[:3, :3]
    by_shape, by_hand = load(path), load(path, preparation=Preparation(layout="NHWC"))
    assert np.array_equal(prepared(encoded(square), "image/png", by_hand), square)
    assert np.array_equal(
        prepared(encoded(square), "image/png", by_shape), square.transpose(2, 0, 1)
    )


def test_one_channel_means_gray(tmp_path: Path) -> None:
    model = load(onnx_models.image_mean(tmp_path / "m.onnx", channels=1))
    assert np.array_equal(prepared(encoded(GRAY), "image/png", model), GRAY[None])
    assert prepared(encoded(RGB), "image/png", model).shape == (1, 4, 5)


def test_a_model_of_plain_matrices_takes_gray_images(tmp_path: Path) -> None:
    model = load(onnx_models.identity(tmp_path / "m.onnx", ("N", 4, 5)))
    assert np.array_equal(prepared(encoded(GRAY), "image/png", model), GRAY)


def test_a_free_height_and_width_keep_the_images_own(tmp_path: Path) -> None:
    model = load(onnx_models.image_mean(tmp_path / "m.onnx", height="H", width="W"))
    assert prepared(encoded(RGB), "image/png", model).shape == (3, 4, 5)


def test_a_model_of_bytes_gets_bytes(tmp_path: Path) -> None:
    path = onnx_models.image_mean(tmp_path / "m.onnx", element_type=onnx_models.UINT8)
    found = prepared(encoded(RGB), "image/png", load(path))
    assert found.dtype == np.uint8
    assert np.array_equal(found, RGB.transpose(2, 0, 1))


def test_preparation_scales_subtracts_and_divides_per_channel(tmp_path: Path) -> None:
    how = Preparation(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0), scale=1 / 255)
    model = load(onnx_models.image_mean(tmp_path / "m.onnx"), preparation=how)
    found = prepared(encoded(RGB), "image/png", model)
    wanted = (RGB / 255 - np.array(how.mean)) / np.array(how.std)
    assert found.dtype == np.float32
    assert np.allclose(found, wanted.transpose(2, 0, 1), atol=1e-6)


def test_preparation_for_other_channels_says_so(tmp_path: Path) -> None:
    path = onnx_models.image_mean(tmp_path / "m.onnx")
    model = load(path, preparation=Preparation(mean=(1.0, 2.0)))
    with pytest.raises(InvalidInput, match="2 values for 3 channels"):
        prepared(encoded(RGB), "image/png", model)


def gradient(mode: str) -> Image.Image:
    return Image.fromarray(RGB).convert(mode)


def with_transparency() -> bytes:
    return encoded(Image.fromarray(GRAY).convert("P"), transparency=bytes(range(100)))


@pytest.mark.parametrize(
    "body",
    [
        encoded(gradient("RGBA")),
        encoded(gradient("LA")),
        encoded(gradient("P")),
        encoded(gradient("1")),
        encoded(gradient("L")),
        encoded(gradient("CMYK"), "JPEG"),
        encoded(gradient("RGB"), "JPEG", progressive=True),
        encoded(gradient("P"), "GIF"),
        encoded(gradient("P"), "GIF", save_all=True, append_images=[gradient("P")]),
        encoded(gradient("RGB"), "BMP"),
        encoded(gradient("RGB"), "WEBP"),
        encoded(gradient("RGB"), "TIFF", save_all=True, append_images=[gradient("L")]),
        encoded(gradient("F"), "TIFF"),
        encoded(gradient("I"), "TIFF"),
        encoded(GRAY.astype(np.uint16) * 256),
        encoded(Image.new("RGB", (1, 1))),
        encoded(gradient("RGB"), "JPEG") + b"garbage after the end",
        with_transparency(),
    ],
)
def test_every_kind_of_pixel_converts(body: bytes, rgb_model: Model) -> None:
    found = prepared(body, "image/png", rgb_model)
    assert found.shape == (3, 4, 5)
    assert np.isfinite(found).all()


def test_sixteen_bits_keep_their_upper_byte(tmp_path: Path) -> None:
    model = load(onnx_models.image_mean(tmp_path / "m.onnx", channels=1))
    found = prepared(encoded(GRAY.astype(np.uint16) * 256 + 7), "image/png", model)
    assert np.array_equal(found, GRAY[None])


def test_the_orientation_of_the_camera_is_not_applied(rgb_model: Model) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert np.array_equal(
        prepared(encoded(RGB, exif=exif), "image/png", rgb_model), RGB.transpose(2, 0, 1)
    )


def png_claiming(width: int, height: int) -> bytes:
    body = bytearray(encoded(RGB))
    body[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    body[29:33] = zlib.crc32(bytes(body[12:29])).to_bytes(4, "big")
    return bytes(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x89",
        b"not an image",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        encoded(NOISE)[:500],
        encoded(NOISE, "JPEG")[:700],
        encoded(RGB, "GIF")[:20],
        encoded(RGB, "TIFF")[:40],
        encoded(RGB, "WEBP")[:30],
        encoded(RGB, "ICO"),
        encoded(RGB, "PPM"),
        encoded(RGB, "PDF"),
        png_claiming(100_000, 100_000),
        png_claiming(10_000, 9_000),
        png_claiming(0, 0),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\xff\xd8\xff\xe0" + bytes(100),
        b"GIF89a" + b"\xff" * 100,
        b"BM" + b"\xff" * 100,
        b"II*\x00" + b"\xff" * 100,
    ],
)
def test_a_broken_image_is_the_callers_fault(body: bytes, rgb_model: Model) -> None:
    with pytest.raises(InvalidInput):
        prepared(body, "image/jpeg", rgb_model)


def test_what_is_no_image_is_told_in_the_same_words_each_time(rgb_model: Model) -> None:
    with pytest.raises(InvalidInput) as caught:
        prepared(b"<html>", "image/png", rgb_model)

    assert caught.value.why == "Its first bytes are those of no image."


def test_too_many_pixels_are_refused_without_a_warning(rgb_model: Model) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the refusal must not hang on Pillow's warning
        with pytest.raises(InvalidInput, match=str(image.MAX_PIXELS)):
            prepared(png_claiming(10_000, 9_000), "image/png", rgb_model)


def test_a_model_of_numbers_takes_no_images(tmp_path: Path) -> None:
    numbers_model = load(onnx_models.identity(tmp_path / "numbers.onnx"))
    with pytest.raises(InvalidInput, match="takes no images"):
        prepared(encoded(RGB), "image/png", numbers_model)
