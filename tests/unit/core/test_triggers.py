from __future__ import annotations

from hookline.core.checks import check_record_key
from hookline.core.ports import MAX_KEY_BYTES
from hookline.core.triggers import Drop, drop_key


def test_drops_of_a_trigger_are_kept_in_the_order_of_their_names() -> None:
    names = ["0.png", "1.png", "a b.png", "deep/1.png", "deep/2.png", "~", "é.png", "日本.png"]
    assert sorted(names, key=lambda name: drop_key(3, name, "e")) == names


def test_every_version_of_every_name_has_a_key_that_can_be_stored() -> None:
    long = "é" * (MAX_KEY_BYTES // 2)
    versions = [(long, "1"), (long, "2"), (long[:-1], "1"), ("a", "1"), ("a\n1", ""), ("a", "")]
    keys = {drop_key(3, name, etag) for name, etag in versions}
    assert len(keys) == len(versions)
    for key in keys:
        check_record_key("acme", Drop.kind, key)
