from __future__ import annotations

import pytest

from hookline.core.links import Link, canonical, name_below


@pytest.mark.parametrize(
    ("given_link", "uri"),
    [
        ("/data/my pictures", "file:///data/my%20pictures"),
        ("//data//./x/", "file:///data/x"),
        ("/a?b#c%20", "file:///a%3Fb%23c%2520"),
        ("file:///data/my pictures/", "file:///data/my%20pictures"),
        ("file:///data/my%20pictures", "file:///data/my%20pictures"),
        ("FILE:///data", "file:///data"),
        ("s3://photos", "s3://photos"),
        ("s3://photos/", "s3://photos"),
        ("S3://photos/in/", "s3://photos/in"),
        ("s3://photos/a+b c/ü", "s3://photos/a%2Bb%20c/%C3%BC"),
        ("s3://photos/100%25/100%", "s3://photos/100%25/100%25"),
    ],
)
def test_the_same_place_has_one_uri(given_link: str, uri: str) -> None:
    assert canonical(given_link) == uri
    assert canonical(uri) == uri


@pytest.mark.parametrize(
    "text",
    ["", "data", "./data", "file:data", "s3:photos", "s3://b/a?b", "s3://b/a#b", "s3://b/%ff"],
)
def test_what_names_no_place_stays_as_it_is(text: str) -> None:
    assert Link.parse(text) is None
    assert canonical(text) == text


@pytest.mark.parametrize(
    "uri", ["s3://photos/in2/a", "s3://photos/in", "s3://photo/in/a", "s3://photos2/in/a"]
)
def test_a_longer_name_is_another_place(uri: str) -> None:
    assert name_below("s3://photos/in", uri) == ""
