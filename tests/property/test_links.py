"""Keys and paths survive their URIs, whatever characters they have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hookline.core.links import Link, canonical, name_below, object_uri

PART = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1)
PARTS = st.lists(PART.filter(lambda part: part not in (".", "..")), min_size=1)


@given(parts=PARTS)
def test_every_key_below_a_link_is_found_by_its_name(parts: list[str]) -> None:
    link = canonical("s3://photos/in put/100%25")

    name = "/".join(parts)

    assert name_below(link, object_uri("photos", f"in put/100%/{name}")) == name
    assert name_below("s3://photos", object_uri("photos", name)) == name


@given(parts=PARTS)
def test_every_path_survives_its_uri(parts: list[str]) -> None:
    link = Link.parse(object_uri("photos", "/".join(parts)))

    assert link == Link("s3", "photos", "/" + "/".join(parts))
    assert Link.parse(link.uri) == link
