from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.adapters.embedded.blobs import Folder
from hookline.adapters.embedded.listing import Listing

PARTS = st.text("ab-./0~é😀\uffee", min_size=1, max_size=3).filter(
    lambda part: "/" not in part and part not in (".", "..")
)
KEYS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
CUTS = st.one_of(st.just(""), KEYS, KEYS.map(lambda key: key + "/"), st.text("ab-./0é", max_size=4))


def stored(root: Path, wanted: list[str]) -> list[str]:
    """Those of the keys that a folder can hold together, in S3's order."""
    kept = []
    for key in wanted:
        path = root / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False)
        except (FileExistsError, NotADirectoryError):
            continue
        kept.append(key)
    return sorted(kept, key=str.encode)


def paged(folder: Folder, prefix: str, after: str, limit: int) -> list[str]:
    seen: list[str] = []
    while True:
        page = folder.list(prefix, after=after, limit=limit)
        seen += [info.key for info in page.items]
        if not page.after:
            return seen
        assert len(page.items) == limit
        assert page.after.encode() > after.encode()
        after = page.after


@settings(max_examples=200, deadline=None)
@given(st.lists(KEYS, max_size=25, unique=True), CUTS, CUTS, st.integers(1, 5))
def test_a_folder_is_listed_exactly_as_s3_would(
    wanted: list[str], prefix: str, after: str, limit: int
) -> None:
    root = Path(tempfile.mkdtemp())
    try:
        keys = stored(root, wanted)
        low = after.encode()
        model = [key for key in keys if key.startswith(prefix) and key.encode() > low]

        assert paged(Folder(root), prefix, after, limit) == model
    finally:
        shutil.rmtree(root)


def big_folder(root: Path, count: int) -> None:
    root.mkdir()
    for index in range(count):
        (root / f"{index:05d}").touch()
    os.utime(root, (1, 1))  # settled long ago


def test_the_names_of_a_big_folder_are_read_once(tmp_path: Path) -> None:
    big_folder(tmp_path / "big", 1100)
    listing = Listing(tmp_path)
    first = next(listing.keys(b"big/", b""))
    kept = listing._kept
    second = next(listing.keys(b"big/", b"big/01000"))

    assert (first, second) == (b"big/00000", b"big/01001")
    assert kept is not None
    assert listing._kept is kept
    assert len(list(listing.keys(b"big/", b""))) == 1100
    assert listing._kept is None


def test_names_are_not_kept_while_the_clock_of_the_folder_could_hide_a_change(
    tmp_path: Path,
) -> None:
    big_folder(tmp_path / "big", 1100)
    os.utime(tmp_path / "big")
    listing = Listing(tmp_path)

    assert next(listing.keys(b"big/", b"")) == b"big/00000"
    assert listing._kept is None


def test_a_file_that_lands_between_two_pages_is_listed(tmp_path: Path) -> None:
    big_folder(tmp_path / "big", 1100)
    folder = Folder(tmp_path)
    page = folder.list("big/", limit=1000)
    (tmp_path / "big" / "01050x").touch()
    rest = folder.list("big/", after=page.after, limit=1000)

    assert "big/01050x" in [info.key for info in rest.items]


def test_only_folders_on_the_way_are_read(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "x").touch()
    read: list[bytes] = []

    class Watched(Listing):
        def _names(self, base: bytes) -> list[bytes]:
            read.append(base)
            return super()._names(base)

    assert list(Watched(tmp_path).keys(b"b/s", b"")) == [b"b/sub/x"]
    assert read == [b"", b"b/", b"b/sub/"]
