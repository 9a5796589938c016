from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable

import pytest

from hookline.core import archives
from hookline.core.archives import Member, members
from hookline.core.errors import InvalidBundle

HOOKS = b"def postprocess(output, raw_input):\n    return 'hi'\n"


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], deflate: bool = False) -> io.BytesIO:
    file = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return file


def entry(name: str, mode: int = 0, flags: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.flag_bits |= flags
    return info


def renamed(old: bytes, new: bytes) -> io.BytesIO:
    """A zip whose name was edited after the fact: what zipfile would not write itself."""
    content = zipped(("inference.py", HOOKS), (old.decode(), b"x")).getvalue()
    assert len(old) == len(new)
    return io.BytesIO(content.replace(old, new))


def with_flag(flag: int) -> io.BytesIO:
    content = bytearray(zipped(("inference.py", HOOKS)).getvalue())
    at = content.index(b"PK\x01\x02")
    struct.pack_into("<H", content, at + 8, flag)
    return io.BytesIO(bytes(content))


def test_the_files_of_a_good_zip_are_listed() -> None:
    file = zipped(("inference.py", HOOKS), ("data/", b""), ("data/labels.txt", b"cat\ndog\n"))
    assert members(file) == [
        Member("inference.py", "inference.py", len(HOOKS)),
        Member("data/labels.txt", "data/labels.txt", 8),
    ]


def test_a_single_top_folder_is_left_out() -> None:
    file = zipped(("mine/inference.py", HOOKS), ("mine/a.txt", b"a"), ("__MACOSX/._a.txt", b""))
    assert [member.path for member in members(file)] == ["inference.py", "a.txt"]


@pytest.mark.parametrize(
    "name",
    ["../evil.py", "a/../../evil.py", "/etc/evil", "C:evil", "a\nb", "./a", "a//b", "x" * 256],
)
def test_a_name_that_could_leave_the_bundle_refuses_the_zip(name: str) -> None:
    with pytest.raises(InvalidBundle):
        members(zipped(("inference.py", HOOKS), (name, b"x")))


@pytest.mark.parametrize(("old", "new"), [(b"a_b_c", b"a\\..\\"), (b"a_b_c", b"a\x00b_c")])
def test_names_that_readers_disagree_about_refuse_the_zip(old: bytes, new: bytes) -> None:
    with pytest.raises(InvalidBundle):
        members(renamed(old, new))


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK]
)
def test_links_and_devices_refuse_the_zip(kind: int) -> None:
    with pytest.raises(InvalidBundle, match="link or a device"):
        members(zipped(("inference.py", HOOKS), (entry("evil", kind | 0o777), b"/etc/passwd")))


@pytest.mark.parametrize(
    "names",
    [("a.txt", "a.txt"), ("a.txt", "A.TXT"), ("\u00e9", "e\u0301"), ("a", "a/b"), ("a/b", "a")],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_some_file_system_holds_for_the_same_refuse_the_zip(names: tuple[str, str]) -> None:
    with pytest.raises(InvalidBundle):
        members(zipped(("inference.py", HOOKS), *((name, b"x") for name in names)))


@pytest.mark.parametrize("flag", [0x1, 0x41, 0x2000])
def test_an_encrypted_zip_is_refused(flag: int) -> None:
    with pytest.raises(InvalidBundle, match="encrypted"):
        members(with_flag(flag))


def test_a_bomb_is_refused_by_its_ratio() -> None:
    zeros = bytes(101 * 1024**2)
    with pytest.raises(InvalidBundle, match="times its size"):
        members(zipped(("inference.py", HOOKS), ("zeros", zeros), deflate=True))


def test_a_small_file_may_compress_as_well_as_it_likes() -> None:
    file = zipped(("inference.py", HOOKS), ("zeros", bytes(1024**2)), deflate=True)
    assert len(members(file)) == 2


def test_a_zip_that_claims_more_than_the_limit_is_refused() -> None:
    content = bytearray(zipped(("inference.py", HOOKS)).getvalue())
    at = content.index(b"PK\x01\x02")
    struct.pack_into("<II", content, at + 20, 3 * 1024**3, 3 * 1024**3)
    with pytest.raises(InvalidBundle, match="would unpack"):
        members(io.BytesIO(bytes(content)))


def test_a_zip_of_too_many_entries_is_refused_before_it_is_read() -> None:
    content = bytearray(zipped(("inference.py", HOOKS)).getvalue())
    at = content.index(b"PK\x05\x06")
    struct.pack_into("<HH", content, at + 8, archives.MAX_ENTRIES + 1, archives.MAX_ENTRIES + 1)
    with pytest.raises(InvalidBundle, match="too many entries"):
        members(io.BytesIO(bytes(content)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: io.BytesIO(b""),
        lambda: io.BytesIO(b"not a zip"),
        lambda: io.BytesIO(zipped(("inference.py", HOOKS)).getvalue()[:-30]),
        lambda: zipped(("hooks.py", HOOKS)),
        lambda: zipped(("a/inference.py", HOOKS), ("b/x", b"")),
        lambda: zipped(("a/b/inference.py", HOOKS)),
        zipped,
    ],
)
def test_what_is_not_a_bundle_is_refused(make: Callable[[], io.BytesIO]) -> None:
    with pytest.raises(InvalidBundle):
        members(make())


def test_a_method_other_than_deflate_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("inference.py", HOOKS)
    with pytest.raises(InvalidBundle, match="deflate"):
        members(file)
