from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from hookline.core.errors import InvalidBundle
from hookline.runtime.artifacts import extract_bundle, find_hooks
from tests.unit.core.test_archives import HOOKS, zipped


def test_a_single_file_becomes_the_hook_file(tmp_path: Path) -> None:
    extract_bundle(io.BytesIO(HOOKS), "my_hooks.PY", tmp_path / "code")
    assert find_hooks(tmp_path / "code") == tmp_path / "code" / "inference.py"
    assert (tmp_path / "code" / "inference.py").read_bytes() == HOOKS


def test_a_zip_is_unpacked_without_its_top_folder(tmp_path: Path) -> None:
    file = zipped(("b/inference.py", HOOKS), ("b/data/deep/labels.txt", b"cat"), ("b/empty", b""))
    extract_bundle(file, "bundle.zip", tmp_path / "code")
    found = {
        p.relative_to(tmp_path / "code").as_posix() for p in tmp_path.rglob("*") if p.is_file()
    }
    assert found == {"inference.py", "data/deep/labels.txt", "empty"}
    assert (tmp_path / "code" / "data" / "deep" / "labels.txt").read_bytes() == b"cat"


def test_extracted_files_are_not_executable(tmp_path: Path) -> None:
    extract_bundle(zipped(("inference.py", HOOKS)), "b.zip", tmp_path / "code")
    assert (tmp_path / "code" / "inference.py").stat().st_mode & 0o111 == 0


def test_a_refused_zip_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InvalidBundle):
        extract_bundle(zipped(("inference.py", HOOKS), ("../x", b"x")), "b.zip", tmp_path / "code")
    assert list(tmp_path.iterdir()) == []


def test_a_zip_with_a_wrong_checksum_leaves_nothing_behind(tmp_path: Path) -> None:
    content = zipped(("inference.py", HOOKS), ("labels.txt", b"cat and dog")).getvalue()
    damaged = io.BytesIO(content.replace(b"cat and dog", b"cat and cow"))
    with pytest.raises(InvalidBundle, match=r"damaged at 'labels\.txt'"):
        extract_bundle(damaged, "b.zip", tmp_path / "code")
    assert list(tmp_path.iterdir()) == []


def test_a_zip_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inference.py", HOOKS * 100)
    content = bytearray(file.getvalue())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (10).to_bytes(4, "little")
    with pytest.raises(InvalidBundle):
        extract_bundle(io.BytesIO(bytes(content)), "b.zip", tmp_path / "code")


def test_a_folder_that_is_not_empty_is_never_written_into(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError):
        extract_bundle(zipped(("inference.py", HOOKS)), "b.zip", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_without_hooks_has_none(tmp_path: Path) -> None:
    assert find_hooks(tmp_path) is None
