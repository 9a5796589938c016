"""What is read of a model: the files that belong to it, and no others."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from hookline.convert.sources import find_source
from hookline.core.errors import InvalidModel
from tests.unit.convert.test_merge_onnx import elsewhere, split

MXNET_PARAMS = b"\x12\x01" + b"\0" * 6
SAVED_MODEL = b"\x08\x01\x12\x02\x12\x00"


def test_folders_beside_a_model_are_no_part_of_it(tmp_path: Path) -> None:
    source = find_source(split(tmp_path))
    before = source.digest()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"x")

    assert source.digest() == before


def test_files_that_a_model_does_not_name_are_no_part_of_it(tmp_path: Path) -> None:
    source = find_source(split(tmp_path))
    before = source.digest()
    (tmp_path / "film.mp4").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")  # reading it would never end

    assert source.digest() == before
    assert sorted(path.name for path in source.shown) == ["net.bin", "net.onnx"]


def test_a_file_that_lies_elsewhere_is_no_part_of_a_model(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"x" * 100)
    folder = tmp_path / "net"
    folder.mkdir()
    path = split(folder)
    elsewhere(path, "../secret.bin")

    assert sorted(one.name for one in find_source(path).shown) == ["net.bin", "net.onnx"]


def test_parameters_of_other_networks_are_no_part_of_one(tmp_path: Path) -> None:
    for name in ("net-0001.params", "net-0002.params", "other-0001.params"):
        (tmp_path / name).write_bytes(MXNET_PARAMS)
    (tmp_path / "net-symbol.json").write_text('{"arg_nodes": []}')

    source = find_source(tmp_path / "net-symbol.json")

    names = ["net-0001.params", "net-0002.params", "net-symbol.json"]
    assert sorted(path.name for path in source.shown) == names


@pytest.mark.parametrize("name", ["net.mlpackage", "net"])
def test_a_core_ml_package_is_refused_with_what_to_do(name: str, tmp_path: Path) -> None:
    package = tmp_path / name
    (package / "Data" / "com.apple.CoreML").mkdir(parents=True)
    (package / "Manifest.json").write_text("{}")

    with pytest.raises(InvalidModel, match=f"{name} is a Core ML model") as caught:
        find_source(package)
    assert "Convert the model it was made from" in caught.value.hint


def test_a_compiled_model_is_refused_with_where_it_runs(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.neuron", "w") as file:
        file.writestr("neuron.json", "{}")

    with pytest.raises(InvalidModel, match=r"net\.neuron is compiled for Inferentia") as caught:
        find_source(tmp_path / "net.neuron")
    assert "the model it was compiled from" in caught.value.hint


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
