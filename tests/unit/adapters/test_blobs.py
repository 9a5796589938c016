from __future__ import annotations

import errno
import os
import threading
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from hookline.adapters.embedded import wiring
from hookline.adapters.embedded.beneath import write_failed
from hookline.adapters.embedded.blobs import FolderBlobs
from hookline.adapters.embedded.draft import Draft
from hookline.adapters.embedded.signature import SignedBlob
from hookline.core.errors import Conflict, InvalidInput, NotFound, TooLarge, Unavailable
from tests.unit.adapters.folders import names


@pytest.fixture
def blobs(home: Path) -> FolderBlobs:
    home.mkdir()
    return wiring.blobs(home)


@pytest.fixture
def root(blobs: FolderBlobs, home: Path) -> Path:
    assert blobs.list("").items == []
    return home / "blobs"


def keys(blobs: FolderBlobs, prefix: str = "") -> list[str]:
    return [info.key for info in blobs.list(prefix).items]


def read(blobs: FolderBlobs, key: str) -> bytes:
    with blobs.open(key) as file:
        return file.read()


def drafts(root: Path) -> list[str]:
    return names(root / ".tmp")


def test_a_blob_is_a_file_that_other_programs_can_read(blobs: FolderBlobs, root: Path) -> None:
    blobs.put("t/volumes/5/a b.png", b"x")

    assert (root / "t/volumes/5/a b.png").read_bytes() == b"x"


def test_a_file_dropped_by_another_program_is_a_blob(blobs: FolderBlobs, root: Path) -> None:
    folder = Path(blobs.uri("t/volumes/5/").removeprefix("file://"))
    (folder / "sub").mkdir()
    (folder / "sub" / "a.png").write_bytes(b"x")

    assert folder == root / "t/volumes/5"
    assert keys(blobs, "t/volumes/5/") == ["t/volumes/5/sub/a.png"]
    assert read(blobs, "t/volumes/5/sub/a.png") == b"x"


def test_editing_a_file_in_place_changes_its_etag(blobs: FolderBlobs, root: Path) -> None:
    blobs.put("a", b"old")
    before = blobs.stat("a")
    deadline = time.monotonic() + 5
    while blobs.stat("a") == before and time.monotonic() < deadline:
        (root / "a").write_bytes(b"new")

    assert blobs.stat("a") != before


def test_drafts_are_hidden_and_their_folder_is_reserved(blobs: FolderBlobs, root: Path) -> None:
    with blobs.writer("a") as writer:
        writer.write(b"x")
        assert len(drafts(root)) == 1
        assert keys(blobs) == keys(blobs, ".tmp/") == []
    assert drafts(root) == []
    for call in (lambda: blobs.put(".tmp/x", b""), lambda: blobs.open(".tmp/x")):
        with pytest.raises(InvalidInput, match="reserved"):
            call()


def test_drafts_of_dead_writers_are_swept_after_an_hour(root: Path, home: Path) -> None:
    for name, age_s in [("old", 3700), ("young", 3500)]:
        (root / ".tmp" / name).write_bytes(b"half")
        os.utime(root / ".tmp" / name, (time.time() - age_s,) * 2)
    wiring.blobs(home)

    assert drafts(root) == ["young"]


@pytest.mark.parametrize("if_absent", [True, False])
def test_a_write_that_fails_leaves_no_draft(
    blobs: FolderBlobs, root: Path, *, if_absent: bool
) -> None:
    blobs.put("t/a", b"x")
    with pytest.raises(Conflict):
        blobs.put("t/a/b", b"y", if_absent=if_absent)

    assert drafts(root) == []


def test_a_name_below_a_file_is_a_conflict_that_says_so(blobs: FolderBlobs) -> None:
    blobs.put("t/a", b"x")

    with pytest.raises(Conflict, match="stored under a part of this name"):
        blobs.put("t/a/b", b"y")
    with pytest.raises(Conflict, match="stored under a part of this name"), blobs.writer("t/a/b"):
        pass


def test_a_name_that_is_a_folder_is_a_conflict(blobs: FolderBlobs) -> None:
    blobs.put("t/a/b", b"x")

    with pytest.raises(Conflict):
        blobs.put("t/a", b"y")
    assert keys(blobs) == ["t/a/b"]


def test_links_are_neither_listed_nor_followed(
    blobs: FolderBlobs, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (root / "t").mkdir()
    (root / "t" / "file").symlink_to(outside / "secret")
    (root / "t" / "folder").symlink_to(outside)
    (root / "link").symlink_to(outside)

    assert keys(blobs) == keys(blobs, "t/folder/") == keys(blobs, "link/") == []
    for key in ("t/file", "t/folder/secret", "link/secret"):
        assert blobs.stat(key) is None
        with pytest.raises(NotFound):
            blobs.open(key)
    for key in ("t/folder/new", "link/new", "link/sub/new"):
        with pytest.raises(Conflict):
            blobs.put(key, b"x")
        blobs.delete(key)
    blobs.delete("t/folder/secret")
    assert names(outside) == ["secret"]


def test_writing_over_a_link_replaces_the_link(
    blobs: FolderBlobs, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    (root / "a").symlink_to(tmp_path / "victim")
    blobs.put("a", b"new")

    assert (tmp_path / "victim").read_bytes() == b"mine"
    assert read(blobs, "a") == b"new"


def test_pipes_and_sockets_are_not_blobs(blobs: FolderBlobs, root: Path) -> None:
    os.mkfifo(root / "pipe")

    assert keys(blobs) == []
    assert blobs.stat("pipe") is None
    with pytest.raises(NotFound):
        blobs.open("pipe")


def test_names_that_are_not_utf8_are_not_listed(blobs: FolderBlobs, root: Path) -> None:
    (root / "good").write_bytes(b"x")
    Path(os.fsdecode(bytes(root) + b"/bad\xff")).write_bytes(b"x")

    assert keys(blobs) == ["good"]


def test_deleting_the_last_file_removes_its_empty_folders(blobs: FolderBlobs, root: Path) -> None:
    blobs.put("t/a/b/c", b"x")
    blobs.put("t/d", b"x")
    blobs.delete("t/a/b/c")

    assert names(root / "t") == ["d"]
    blobs.delete("t/d")
    assert names(root) == [".tmp"]


def test_writers_and_deleters_of_one_folder_do_not_disturb_each_other(
    blobs: FolderBlobs,
) -> None:
    errors: list[Exception] = []

    def work(name: str) -> None:
        try:
            for _ in range(30):
                blobs.put(f"t/x/y/{name}", b"x")
                blobs.delete(f"t/x/y/{name}")
        except Exception as error:  # noqa: BLE001 - the test shows whatever it was
            errors.append(error)

    threads = [threading.Thread(target=work, args=(str(index),)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert keys(blobs) == []


def test_a_full_disk_is_unavailable_and_says_so() -> None:
    with suppress(OSError), Path("/dev/full").open("wb") as full:
        draft = Draft(Path("/nonexistent"), "t/a", full)
        with pytest.raises(Unavailable, match="disk is full"):
            draft.write(b"x" * 1_000_000)
        draft.write(b"small enough to wait in memory")
        with pytest.raises(Unavailable, match="disk is full"):
            draft.publish(Path("/nonexistent"), [], "a", if_absent=False)


def test_what_cannot_be_stored_is_told_by_its_name_alone() -> None:
    for number in (errno.ENOSPC, errno.EISDIR, errno.EIO):
        error = write_failed("acme/volumes/56/sub/a.png", OSError(number, "Told by the kernel"))

        assert str(error).startswith("The file a.png cannot be stored.")


def test_a_missing_root_is_not_an_empty_store(blobs: FolderBlobs, root: Path) -> None:
    (root / ".tmp").rmdir()
    root.rmdir()

    for call in (lambda: blobs.list(""), lambda: blobs.stat("a"), lambda: blobs.open("a")):
        with pytest.raises(Unavailable, match="cannot be opened"):
            call()


def receive(blobs: FolderBlobs, signed: SignedBlob, *chunks: bytes) -> None:
    with blobs.receiving(signed) as body:
        for chunk in chunks:
            body.write(chunk)


def test_a_received_body_is_stored_when_it_is_what_was_signed(blobs: FolderBlobs) -> None:
    receive(blobs, SignedBlob("a", sha256(b"one two").hexdigest(), 7), b"one ", b"two")
    receive(blobs, SignedBlob("b"), b"any")

    assert read(blobs, "a") == b"one two"
    assert read(blobs, "b") == b"any"


@pytest.mark.parametrize(
    ("signed", "error"),
    [
        (SignedBlob("a", sha256(b"other").hexdigest(), 4), InvalidInput),
        (SignedBlob("a", "", 5), InvalidInput),
        (SignedBlob("a", "", 3), TooLarge),
        (SignedBlob("a", "", 0), TooLarge),
    ],
)
def test_any_other_body_is_refused_and_nothing_is_stored(
    blobs: FolderBlobs, root: Path, signed: SignedBlob, error: type[Exception]
) -> None:
    with pytest.raises(error):
        receive(blobs, signed, b"da", b"ta")

    assert keys(blobs) == []
    assert drafts(root) == []
