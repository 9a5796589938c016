"""What is read of a model: the files that belong to it, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookline.convert.sources import find_source
from hookline.core.errors import InvalidModel
from tests.unit.convert.test_merge_onnx import split

SAVED_MODEL = b"\x08\x01\x12\x02\x12\x00"


def test_folders_beside_a_model_are_no_part_of_it(tmp_path: Path) -> None:
    source = find_source(split(tmp_path))
    before = source.digest()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"x")

    assert source.digest() == before


def test_weights_beside_a_model_are_part_of_it(tmp_path: Path) -> None:
    source = find_source(split(tmp_path))
    before = source.digest()
    (tmp_path / "net.bin").write_bytes(b"others")

    assert source.digest() != before


def test_a_saved_model_without_its_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pb"
    path.write_bytes(SAVED_MODEL)

    with pytest.raises(InvalidModel, match="without its folder"):
        find_source(path)
