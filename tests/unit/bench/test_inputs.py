from __future__ import annotations

import io
import json
import wave

import numpy as np
import pytest
from PIL import Image

from hookline.bench.inputs import generated, levels_of, shape_of
from hookline.bench.target import Target
from hookline.core.errors import BadRequest


def test_bodies_are_examples_of_the_shape_and_the_same_in_each_run() -> None:
    first, second = generated("application/json", (3, 4), 2)
    assert np.array(json.loads(first)).shape == (3, 4)
    assert first != second
    assert generated("application/json", (3, 4), 2) == [first, second]
    [npy] = generated("application/x-npy", (2, 5), 1)
    assert np.load(io.BytesIO(npy), allow_pickle=False).shape == (2, 5)
    [row] = generated("text/csv", (6,), 1)
    assert len([float(value) for value in row.split(b",")]) == 6
    [text] = generated("text/plain", (7,), 1)
    assert len(text.split()) == 7
    [sound] = generated("audio/wav", (1600,), 1)
    with wave.open(io.BytesIO(sound)) as file:
        assert file.getnframes() == 1600


@pytest.mark.parametrize("form", ["jpeg", "png"])
@pytest.mark.parametrize(("shape", "mode"), [((40, 60), "RGB"), ((40, 60, 1), "L")])
def test_images_have_the_height_and_width(form: str, shape: tuple[int, ...], mode: str) -> None:
    [body] = generated(f"image/{form}", shape, 1)
    image = Image.open(io.BytesIO(body))
    assert (image.format, image.size, image.mode) == (form.upper(), (60, 40), mode)


@pytest.mark.parametrize(
    ("mime_type", "shape"), [("video/mp4", (3,)), ("image/png", (3,)), ("image/png", (8, 8, 4))]
)
def test_what_cannot_be_made_is_refused(mime_type: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadRequest):
        generated(mime_type, shape, 1)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("1,8,32", [1, 8, 32]),
        ("4", [4]),
        ("1:3", [1, 2, 3]),
        ("100:500:200", [100, 300, 500]),
        ("0.5", [0.5]),
        ("0.1:0.3:0.1", pytest.approx([0.1, 0.2, 0.3])),
    ],
)
def test_levels_are_a_list_or_a_range_with_its_end(text: str, levels: list[float]) -> None:
    assert levels_of(text) == levels


@pytest.mark.parametrize(
    "text", ["", "x", "0", "-1", "1:", "1:2:0", "5:1", "nan", "inf", "1:9999", "1:inf"]
)
def test_other_levels_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        levels_of(text)


def test_a_shape_is_numbers_above_zero() -> None:
    assert shape_of("3,224,224") == shape_of("3x224x224") == (3, 224, 224)
    for text in ("", "0", "a", "3,"):
        with pytest.raises(ValueError, match=r"."):
            shape_of(text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/predict"),
        ("https://a.example/v/x?y=1", "https://a.example:443/v/x?y=1"),
        ("unix:/run/s", "unix:/run/s"),
    ],
)
def test_a_target_is_a_url(url: str, shown: str) -> None:
    assert str(Target.of(url)) == shown


@pytest.mark.parametrize(
    "url",
    ["ftp://a/b", "http://", "a/b", "http://a:x/", "http://a/b c", "http://a/\u00e9", "//"],
)
def test_other_targets_are_refused(url: str) -> None:
    with pytest.raises(BadRequest, match="is not what can be asked"):
        Target.of(url)


def test_an_ipv6_host_is_bracketed() -> None:
    assert b"\r\nHost: [::1]:80\r\n" in Target.of("http://[::1]/").request(b"", "text/plain")
