"""Weights beside an ONNX file: put inside it, or refused where they may not be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hookline.convert.job import Job
from hookline.convert.steps import merge_onnx
from hookline.core.errors import InvalidModel

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def graph(extra: np.ndarray[Any, Any]) -> onnx.ModelProto:
    """x @ w + b in the branch of an If, so that a weight lies in a nested graph."""
    inner = helper.make_graph(
        [helper.make_node("Add", ["y", "b"], ["z"])],
        "inner",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(extra, "b")],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("If", ["yes"], ["out"], then_branch=inner, else_branch=inner),
    ]
    whole = helper.make_graph(
        nodes,
        "outer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(VALUES, "w"), numpy_helper.from_array(np.array(True), "yes")],
    )
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"names": "['a', 'b', 'c', 'd']"})
    return model


def split(folder: Path) -> Path:
    path = folder / "net.onnx"
    model = graph(np.full(4, 5, np.float32))
    onnx.save(model, path, save_as_external_data=True, location="net.bin", size_threshold=0)
    assert b"external" not in path.read_bytes() or path.stat().st_size < 2000
    return path


def merge(path: Path, folder: Path) -> Path:
    folder.mkdir()
    result = merge_onnx.run(Job(module="", source=str(path), folder=str(folder)))
    return folder / result.file


def test_weights_beside_the_file_are_inside_the_merged_one(tmp_path: Path) -> None:
    merged = merge(split(tmp_path), tmp_path / "work")

    loaded = onnx.load(merged, load_external_data=False)
    onnx.checker.check_model(loaded)
    assert not any(weight.external_data for weight in loaded.graph.initializer)
    assert loaded.metadata_props[0].key == "names"
    session = onnxruntime.InferenceSession(merged, providers=["CPUExecutionProvider"])
    x = np.ones((2, 3), np.float32)
    assert np.array_equal(session.run(None, {"x": x})[0], x @ VALUES + 5)


def elsewhere(path: Path, location: str, **entries: str) -> None:
    model = onnx.load(path, load_external_data=False)
    weight = model.graph.initializer[0]
    del weight.external_data[:]
    for key, value in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "location",
    ["/etc/passwd", "../secret.bin", "a/../../secret.bin", "sub/net.bin", "..", "", "a\\b", "\0"],
)
def test_only_files_beside_the_model_are_read(location: str, tmp_path: Path) -> None:
    path = split(tmp_path)
    elsewhere(path, location)
    with pytest.raises(InvalidModel, match="Only files beside the model are read"):
        merge(path, tmp_path / "work")


def test_a_link_beside_the_model_is_not_followed(tmp_path: Path) -> None:
    path = split(tmp_path)
    (tmp_path / "link.bin").symlink_to("/etc/passwd")
    elsewhere(path, "link.bin")
    with pytest.raises(InvalidModel, match="no such file beside it"):
        merge(path, tmp_path / "work")


def test_a_missing_file_of_weights_is_named(tmp_path: Path) -> None:
    path = split(tmp_path)
    (tmp_path / "net.bin").unlink()
    with pytest.raises(InvalidModel, match=r"in 'net.bin', and there is no such file"):
        merge(path, tmp_path / "work")


@pytest.mark.parametrize(
    "entries",
    [
        {"length": "1000000"},
        {"offset": "999999", "length": "4"},
        {"offset": "-1"},
        {"length": "-4"},
    ],
)
def test_weights_beyond_the_end_of_their_file_are_refused(
    entries: dict[str, str], tmp_path: Path
) -> None:
    path = split(tmp_path)
    elsewhere(path, "net.bin", **entries)
    with pytest.raises(InvalidModel, match="too short"):
        merge(path, tmp_path / "work")


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = split(tmp_path)
    os.truncate(path, path.stat().st_size - 5)
    with pytest.raises(InvalidModel, match="not a whole ONNX model"):
        merge(path, tmp_path / "work")
