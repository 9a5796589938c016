from __future__ import annotations

import pytest

from hookline.core.names import mime_type_of


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("cat.jpg", "image/jpeg"),
        ("folder.png/CAT.PNG", "image/png"),
        ("a.b.json", "application/json"),
        ("x.npy", "application/x-npy"),
        ("page.svg", "application/octet-stream"),
        ("no_suffix", "application/octet-stream"),
        (".png", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_the_last_suffix_tells_the_type(name: str, mime_type: str) -> None:
    assert mime_type_of(name) == mime_type
