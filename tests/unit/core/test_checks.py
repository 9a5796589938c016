from __future__ import annotations

import pytest

from hookline.core.checks import check_blob_key
from hookline.core.errors import InvalidInput

GOOD = ["a", "a/b c/ü.png", "...", "a/.hidden", "a\n", "\n", "a/\n", "-rf", "x" * 255, "a..b/c"]
BAD = ["", "/", "a//b", "..", ".", "../a", "a/..", "a/../b", "a/", "/a", "a/./b", "\0", "a\0b"]
TOO_LONG = ["x" * 256, "/".join(["x" * 200] * 6), "\ud800"]


@pytest.mark.parametrize("key", GOOD)
def test_a_name_that_every_store_holds_is_left_as_it_is(key: str) -> None:
    assert check_blob_key(key) == key


@pytest.mark.parametrize("key", BAD + TOO_LONG)
def test_a_name_that_some_store_cannot_hold_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be stored"):
        check_blob_key(key)
