from __future__ import annotations

from pathlib import Path

import pytest

from hookline.adapters.embedded.linked import open_link
from hookline.core.errors import Forbidden, InvalidInput, NotFound
from hookline.core.ports import Blobs, Ports


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my files é"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.png").write_bytes(b"x")
    (folder / ".tmp").mkdir()
    (folder / ".tmp" / "b.png").write_bytes(b"y")
    return folder


def linked(ports: Ports, folder: Path) -> Blobs:
    return ports.linked(folder.as_uri())


def test_a_linked_folder_is_read_where_it_is(ports: Ports, folder: Path) -> None:
    blobs = linked(ports, folder)
    with blobs.open("sub/a.png") as file:
        assert file.read() == b"x"

    assert [info.key for info in blobs.list("").items] == [".tmp/b.png", "sub/a.png"]
    assert blobs.stat("sub/a.png") == blobs.list("sub/").items[0]
    assert blobs.uri("sub/a.png") == (folder / "sub/a.png").as_uri()


def test_a_linked_folder_is_never_changed(ports: Ports, folder: Path) -> None:
    blobs = linked(ports, folder)
    for call in (
        lambda: blobs.put("new", b"x"),
        lambda: blobs.put("sub/a.png", b"x", if_absent=True),
        lambda: blobs.writer("new"),
        lambda: blobs.delete("sub/a.png"),
        lambda: blobs.presign("GET", "sub/a.png"),
    ):
        with pytest.raises(Forbidden, match="belongs to"):
            call()
    assert blobs.uri("nosuch/").endswith("/nosuch/")

    assert sorted(path.name for path in folder.rglob("*")) == [".tmp", "a.png", "b.png", "sub"]


def test_names_cannot_climb_out_of_a_linked_folder(ports: Ports, folder: Path) -> None:
    (folder.parent / "secret").write_bytes(b"s")
    (folder / "link").symlink_to(folder.parent)
    blobs = linked(ports, folder)

    with pytest.raises(InvalidInput):
        blobs.open("../secret")
    with pytest.raises(NotFound):
        blobs.open("link/secret")


def test_a_missing_folder_is_not_found(ports: Ports, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("nosuch", "file"):
        with pytest.raises(NotFound, match=name):
            linked(ports, tmp_path / name)


def test_a_folder_that_vanishes_later_is_not_an_empty_one(ports: Ports, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    blobs = linked(ports, tmp_path / "mine")
    (tmp_path / "mine").rmdir()

    with pytest.raises(Exception, match="cannot be opened"):
        blobs.list("")


@pytest.mark.parametrize("inside", ["", "blobs", "blobs/..", "..", "../.."])
def test_the_home_and_what_is_around_it_cannot_be_linked(
    ports: Ports, home: Path, inside: str
) -> None:
    with pytest.raises(Forbidden, match="cannot be linked"):
        ports.linked(f"file://{home}/{inside}")


def test_a_link_to_the_home_cannot_be_linked_either(
    ports: Ports, home: Path, tmp_path: Path
) -> None:
    assert ports.blobs.list("").items == []
    (tmp_path / "innocent").symlink_to(home / "blobs")

    with pytest.raises(Forbidden):
        linked(ports, tmp_path / "innocent")


@pytest.mark.parametrize(
    "uri",
    [
        *["s3://bucket/x", "/tmp", "file:tmp", "file://host/tmp", "http://x/", "", "file:"],
        *["file:///a%ffb", "file:///a%00b", "file://[/x", "file:///a?b", "file:///a#b"],
    ],
)
def test_other_links_are_refused_with_the_form_that_works(home: Path, uri: str) -> None:
    with pytest.raises(InvalidInput, match="file:///an/absolute/folder"):
        open_link(uri, home=home)
