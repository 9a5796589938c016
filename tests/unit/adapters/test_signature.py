from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.adapters.embedded.signature import SignedBlob, load_secret, sign, verify
from hookline.core.errors import BadRequest, Forbidden
from tests.unit.adapters.folders import names

SECRET = b"s" * 32
BLOB = SignedBlob("t/volumes/5/a b.png", "ab" * 32, 7)


def split(url: str) -> tuple[str, str]:
    path, _, query = url.partition("?")
    return path, query


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(["", "ab" * 32]),
    st.one_of(st.none(), st.integers(0, 2**40)),
)
def test_a_signed_url_allows_exactly_what_was_signed(
    key: str, sha256: str, size_bytes: int | None
) -> None:
    blob = SignedBlob(key, sha256, size_bytes)
    path, query = split(sign(SECRET, "PUT", blob, 1000))

    assert path.isascii()
    assert verify(SECRET, "PUT", path, query, now=999.0) == blob


def test_a_signed_url_expires() -> None:
    path, query = split(sign(SECRET, "GET", BLOB, 1000))

    with pytest.raises(Forbidden, match="expired"):
        verify(SECRET, "GET", path, query, now=1000.0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a%20b", "a%20c"),
        ("volumes/5", "volumes/56"),
        ("expires=1000", "expires=1001"),
        ("expires=1000", "expires=x"),
        ("expires=1000&", ""),
        ("size=7", "size=8"),
        ("&size=7", ""),
        ("sha256=ab", "sha256=ba"),
        ("signature=", "signature=0"),
        ("signature=", "signature=%C3%A9"),
        ("signature=", "sig="),
        ("size=7", "size=7&size=8"),
        ("/blobs/", "/"),
        ("/blobs/", "/blobs/blobs/"),
        ("/blobs/", "/blobs/%ff"),
        ("?", "?a=1&"),
    ],
)
def test_a_changed_url_is_refused(old: str, new: str) -> None:
    url = sign(SECRET, "PUT", BLOB, 1000)
    changed = url.replace(old, new, 1)

    assert changed != url
    with pytest.raises(Forbidden, match="not valid"):
        verify(SECRET, "PUT", *split(changed), now=0.0)


def test_a_url_is_for_one_method_and_one_secret() -> None:
    path, query = split(sign(SECRET, "PUT", BLOB, 1000))

    for secret, method in [(SECRET, "GET"), (SECRET, "put"), (b"t" * 32, "PUT")]:
        with pytest.raises(Forbidden, match="not valid"):
            verify(secret, method, path, query, now=0.0)


def test_a_line_end_in_a_key_shifts_nothing() -> None:
    tricky = SignedBlob('a",1000,"', "", None)
    path, query = split(sign(SECRET, "GET", tricky, 1000))

    with pytest.raises(Forbidden):
        verify(SECRET, "GET", "/blobs/a", query, now=0.0)
    assert verify(SECRET, "GET", path, query, now=0.0) == tricky


def test_the_secret_is_made_once_private_and_kept(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(load_secret, [tmp_path / "secret"] * 8))

    assert len(made) == 1
    assert len(made.pop()) == 64
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["secret"]
    assert load_secret(tmp_path / "secret") != load_secret(tmp_path / "other")


@pytest.mark.parametrize("text", ["", " ", "\n", "0", "x" * 31, " " * 64])
def test_a_weak_secret_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(BadRequest, match="too short"):
        load_secret(path)


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    load_secret(tmp_path / "secret")
    (tmp_path / "secret").chmod(0o640)

    with pytest.raises(BadRequest, match="chmod 600"):
        load_secret(tmp_path / "secret")
