"""What every blob store must do. Each test runs once per adapter."""

from __future__ import annotations

import io
import threading

import pytest

from hookline.core.errors import Conflict, InvalidInput, NotFound
from hookline.core.ports import MAX_PAGE, Blobs


def keys(blobs: Blobs, prefix: str = "", after: str = "", limit: int = MAX_PAGE) -> list[str]:
    return [info.key for info in blobs.list(prefix, after=after, limit=limit).items]


def read(blobs: Blobs, key: str) -> bytes:
    with blobs.open(key) as file:
        return file.read()


def fail_while_writing(blobs: Blobs, key: str) -> None:
    with blobs.writer(key) as writer:
        writer.write(b"half")
        raise ZeroDivisionError


def test_a_blob_reads_back_whole(blobs: Blobs) -> None:
    data = bytes(range(256)) * 1000
    blobs.put("t/a.bin", data)

    assert read(blobs, "t/a.bin") == data
    info = blobs.stat("t/a.bin")
    assert info is not None
    assert (info.key, info.size_bytes) == ("t/a.bin", len(data))
    assert list(blobs.list("t/").items) == [info]


def test_an_empty_blob_is_a_blob(blobs: Blobs) -> None:
    blobs.put("t/empty", b"")

    assert read(blobs, "t/empty") == b""
    assert keys(blobs) == ["t/empty"]


def test_put_replaces_and_the_etag_tells(blobs: Blobs) -> None:
    etags = set()
    for index in range(20):
        blobs.put("t/a", b"%d" % index)
        info = blobs.stat("t/a")
        assert info is not None
        etags.add(info.etag)

    assert read(blobs, "t/a") == b"19"
    assert len(etags) == 20


def test_the_etag_stays_while_the_content_does(blobs: Blobs) -> None:
    blobs.put("t/a", b"x")
    info = blobs.stat("t/a")
    read(blobs, "t/a")

    assert blobs.stat("t/a") == info


def test_put_if_absent_lets_the_first_writer_win(blobs: Blobs) -> None:
    blobs.put("t/a", b"first", if_absent=True)
    first = blobs.stat("t/a")

    with pytest.raises(Conflict):
        blobs.put("t/a", b"second", if_absent=True)
    assert read(blobs, "t/a") == b"first"
    assert blobs.stat("t/a") == first


def test_of_many_writers_at_once_exactly_one_wins_if_absent(blobs: Blobs) -> None:
    won: list[bytes] = []
    start = threading.Barrier(8)

    def write(data: bytes) -> None:
        start.wait()
        try:
            blobs.put("t/deep/er/a", data, if_absent=True)
            won.append(data)
        except Conflict:
            pass

    threads = [threading.Thread(target=write, args=(b"%d" % index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert won == [read(blobs, "t/deep/er/a")]


@pytest.mark.parametrize("size_bytes", [3, 20 << 20])
def test_of_two_pieces_of_work_the_first_that_ends_wins_if_absent(
    blobs: Blobs, size_bytes: int
) -> None:
    """Large ones too, which S3 takes in parts."""
    first, second = b"1" * size_bytes, b"2" * size_bytes
    with blobs.writer("t/a", if_absent=True) as writer:
        writer.write(first)

    with pytest.raises(Conflict), blobs.writer("t/a", if_absent=True) as writer:
        writer.write(second)

    assert read(blobs, "t/a") == first
    with blobs.writer("t/a") as writer:
        writer.write(second)
    assert read(blobs, "t/a") == second


def test_a_writer_makes_the_blob_visible_when_it_is_whole(blobs: Blobs) -> None:
    with blobs.writer("t/a") as writer:
        writer.write(b"one ")
        assert keys(blobs) == []
        assert blobs.stat("t/a") is None
        writer.write(b"two")

    assert read(blobs, "t/a") == b"one two"


def test_a_writer_that_fails_leaves_nothing(blobs: Blobs) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_while_writing(blobs, "t/a")

    assert keys(blobs) == []
    assert blobs.stat("t/a") is None


def test_a_writer_that_fails_leaves_the_old_blob(blobs: Blobs) -> None:
    blobs.put("t/a", b"old")
    before = blobs.stat("t/a")
    with pytest.raises(ZeroDivisionError):
        fail_while_writing(blobs, "t/a")

    assert blobs.stat("t/a") == before
    assert read(blobs, "t/a") == b"old"


def test_a_reader_keeps_what_it_opened(blobs: Blobs) -> None:
    blobs.put("t/a", b"old" * 1000)
    with blobs.open("t/a") as file:
        start = file.read(3)
        blobs.put("t/a", b"new" * 1000)
        rest = file.read()

    assert start + rest == b"old" * 1000


def test_a_reader_seeks(blobs: Blobs) -> None:
    blobs.put("t/a", b"0123456789")
    with blobs.open("t/a") as file:
        assert file.seek(-3, io.SEEK_END) == 7
        assert file.read() == b"789"
        file.seek(2)
        assert file.read(3) == b"234"


@pytest.mark.parametrize("key", ["t/none", "none", "t", "t/a/below"])
def test_what_is_absent_is_none_and_cannot_be_opened(blobs: Blobs, key: str) -> None:
    blobs.put("t/a", b"x")

    assert blobs.stat(key) is None
    with pytest.raises(NotFound, match=key):
        blobs.open(key)


def test_a_deleted_blob_is_gone_and_may_be_deleted_again(blobs: Blobs) -> None:
    blobs.put("t/b/a", b"x")
    blobs.delete("t/b/a")
    blobs.delete("t/b/a")
    blobs.delete("never/was")

    assert blobs.stat("t/b/a") is None
    assert keys(blobs) == []


def test_deleting_a_prefix_deletes_nothing(blobs: Blobs) -> None:
    blobs.put("t/b/a", b"x")
    blobs.delete("t/b")

    assert keys(blobs) == ["t/b/a"]


def test_a_key_can_be_used_again_after_a_delete(blobs: Blobs) -> None:
    blobs.put("t/a/b", b"x")
    blobs.delete("t/a/b")
    blobs.put("t/a", b"y")

    assert keys(blobs) == ["t/a"]


@pytest.mark.parametrize(
    "key",
    [
        *["", "/a", "a/", "a//b", ".", "..", "a/./b", "../a", "a/../b", "a/.."],
        *["nul\0", "x" * 256, "d/" * 511 + "xyz", "surrogate\udcff"],
    ],
)
def test_a_name_that_some_store_cannot_hold_is_refused(blobs: Blobs, key: str) -> None:
    for call in (
        lambda: blobs.put(key, b"x"),
        lambda: blobs.writer(key).__enter__(),
        lambda: blobs.open(key),
        lambda: blobs.stat(key),
        lambda: blobs.delete(key),
        lambda: blobs.presign("GET", key),
    ):
        with pytest.raises(InvalidInput, match="cannot be stored"):
            call()
    assert keys(blobs) == []


@pytest.mark.parametrize(
    "key",
    ["a b", "a+b%20c", "é/😀", "-", "~", "...", "..a", "a\\b", "a\nb", "'\"", "?x=1#y", "x" * 255],
)
def test_odd_names_are_names(blobs: Blobs, key: str) -> None:
    blobs.put(f"t/{key}", b"x")

    assert keys(blobs) == [f"t/{key}"]
    assert read(blobs, f"t/{key}") == b"x"


def test_blobs_are_listed_in_byte_order_of_their_keys(blobs: Blobs) -> None:
    names = ["a.b", "a/b", "a-b", "a0", "a/b/c"[:3], "a!/z", "b", "B", "é", "\uffee", "\U0001f600"]
    for name in set(names):
        blobs.put(name, b"x")

    assert keys(blobs) == sorted(set(names), key=str.encode)


def test_a_prefix_is_any_beginning_of_keys(blobs: Blobs) -> None:
    for name in ["v/5/a", "v/56/a", "v/56/b/c", "v/57", "w"]:
        blobs.put(name, b"x")

    assert keys(blobs, "v/5") == ["v/5/a", "v/56/a", "v/56/b/c", "v/57"]
    assert keys(blobs, "v/56/") == ["v/56/a", "v/56/b/c"]
    assert keys(blobs, "v/56/b/c") == ["v/56/b/c"]
    assert keys(blobs, "v/56/b/cd") == []
    assert keys(blobs, "x") == keys(blobs, "../") == keys(blobs, "/") == []


def test_pages_follow_each_other_without_gap_or_repeat(blobs: Blobs) -> None:
    names = [f"t/{folder}/{name}" for folder in "abc" for name in "012"]
    for name in names:
        blobs.put(name, b"x")
    seen, after, pages = [], "", 0
    while True:
        page = blobs.list("t/", after=after, limit=4)
        seen += [info.key for info in page.items]
        pages, after = pages + 1, page.after
        if not after:
            break

    assert (seen, pages) == (names, 3)


def test_a_list_starts_after_any_string(blobs: Blobs) -> None:
    for name in ["a/1", "a/3", "b"]:
        blobs.put(name, b"x")

    assert keys(blobs, after="a/2") == ["a/3", "b"]
    assert keys(blobs, after="a") == ["a/1", "a/3", "b"]
    assert keys(blobs, after="a/9/x") == ["b"]
    assert keys(blobs, "a/", after="zz") == []


def test_a_full_last_page_says_that_there_is_no_more(blobs: Blobs) -> None:
    blobs.put("a", b"x")
    blobs.put("b", b"x")

    assert blobs.list("", limit=2).after == ""
    assert blobs.list("", limit=1).after == "a"


@pytest.mark.parametrize("limit", [0, MAX_PAGE + 1])
def test_the_page_limit_is_the_same_everywhere(blobs: Blobs, limit: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 1000"):
        blobs.list("", limit=limit)


def test_a_signed_request_names_its_method(blobs: Blobs) -> None:
    put = blobs.presign("PUT", "t/a", sha256="0" * 64, size_bytes=1)

    assert put.method == "PUT"
    assert put.url != blobs.presign("PUT", "t/a", sha256="1" * 64, size_bytes=1).url
    assert blobs.presign("GET", "t/a").method == "GET"


def test_the_uri_says_where_others_find_the_blobs(blobs: Blobs) -> None:
    uri = blobs.uri("t/volumes/5/")

    assert uri.startswith(("file:///", "s3://"))
    assert uri.endswith("/t/volumes/5/")
