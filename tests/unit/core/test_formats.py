"""What a file is, told by its content alone."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.core.formats import Kind, kind_of


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return file.getvalue()


def message(*fields: tuple[int, bytes | int]) -> bytes:
    """A small protobuf message: numbers below 128, contents below 128 bytes."""
    parts = []
    for number, value in fields:
        tag = number << 3 | (0 if isinstance(value, int) else 2)
        head = bytes([tag & 0x7F | 0x80, tag >> 7]) if tag > 127 else bytes([tag])
        parts.append(head + (bytes([value]) if isinstance(value, int) else _bytes(value)))
    return b"".join(parts)


def _bytes(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def safetensors() -> bytes:
    head = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(head)) + head + b"\0\0\0\0"


NODE = message((1, b"x"), (2, b"Placeholder"))
FILES: dict[str, tuple[Callable[[], bytes], Kind]] = {
    "onnx": (lambda: message((1, 8), (2, b"pytorch"), (7, b"\x12\x01g"), (8, b"\x10\x11")), "onnx"),
    "cut onnx": (lambda: message((1, 8)) + b"\x3a\x7f", "onnx"),
    "onnx that was cut": (lambda: message((1, 8), (2, b"pytorch")) + b"\x3a\x70cut", "onnx"),
    "saved model": (lambda: message((1, 1), (2, b"\x12\x00")), "savedmodel"),
    "graph": (lambda: message((1, NODE), (1, NODE), (4, b"\x08\x1b")), "graphdef"),
    "core ml": (lambda: message((1, 5), (2, b""), (502, b"")), "coreml"),
    "torchscript": (
        lambda: zipped("net/data.pkl", "net/code/__torch__.py", "net/constants.pkl"),
        "torchscript",
    ),
    "pt2": (lambda: zipped("net/archive_format", "net/models/model.json"), "pt2"),
    "older pt2": (lambda: zipped("serialized_exported_program.json", "version"), "pt2"),
    "state_dict": (lambda: zipped("net/data.pkl", "net/data/0", "net/version"), "torch-weights"),
    "keras": (lambda: zipped("metadata.json", "config.json", "model.weights.h5"), "keras"),
    "hooks": (lambda: zipped("inference.py"), "unknown"),
    "broken zip": (lambda: b"PK\x03\x04" + b"\0" * 50, "unknown"),
    "hdf5": (lambda: b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "hdf5"),
    "mxnet": (lambda: b'{\n  "nodes": [], \n  "arg_nodes": [0]}', "mxnet-symbol"),
    "mxnet weights": (lambda: struct.pack("<QQ", 0x112, 0), "mxnet-params"),
    "neon": (lambda: pickle.dumps({"neon_version": "2.6.0", "model": {}}, 2), "neon"),
    "pickle": (lambda: pickle.dumps({"a": np.zeros(3)}), "pickle"),
    "old pickle": (lambda: pickle.dumps({"a": 1}, 0), "pickle"),
    "safetensors": (safetensors, "safetensors"),
    "xgboost": (lambda: b'{"learner":{"attributes":{}},"version":[3,0,0]}', "xgboost"),
    "lightgbm": (lambda: b"tree\nversion=v4\nnum_class=1\n", "lightgbm"),
    "tflite": (lambda: b"\x1c\0\0\0TFL3" + b"\0" * 20, "tflite"),
    "gguf": (lambda: b"GGUF\x03\0\0\0", "gguf"),
    "pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\n", "lfs"),
    "nothing": (lambda: b"", "empty"),
    "image": (lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "unknown"),
    "text": (lambda: b"cat\ndog\n", "unknown"),
    "json": (lambda: b'["cat", "dog"]', "unknown"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_known_by_its_content(name: str) -> None:
    make, kind = FILES[name]
    assert kind_of(io.BytesIO(make())) == kind


def test_words_across_the_border_of_two_chunks_are_found() -> None:
    file = pickle.dumps({"weights": b"\0" * ((1 << 20) - 34), "neon_version": "1"}, 2)
    assert kind_of(io.BytesIO(file)) == "neon"


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    kind_of(io.BytesIO(data))
