"""Tells what a model file is by its content. Nothing of it is run, and its name means nothing."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, Literal

from hookline.core.protobuf import BYTES, VARINT, Field, Malformed, Reader

Kind = Literal[
    "onnx",
    "torchscript",
    "pt2",
    "neuron",
    "savedmodel",
    "graphdef",
    "keras",
    "hdf5",
    "mxnet-symbol",
    "mxnet-params",
    "neon",
    "coreml",
    "torch-weights",
    "safetensors",
    "pickle",
    "xgboost",
    "lightgbm",
    "tflite",
    "gguf",
    "lfs",
    "empty",
    "unknown",
]

_HEAD_BYTES = 4096
_CHUNK_BYTES = 1 << 20
_MAX_FIELDS = 1000  # of the outermost message; real ones have a handful, GraphDefs one per node
_MAX_HEADER_BYTES = 100 * 1024**2  # of a safetensors file (its own specification)
_FIRST_COREML_TYPE = 200  # Model.proto numbers the kinds of model from here

_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"version https://git-lfs", "lfs"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"GGUF", "gguf"),
    (b"\x12\x01\x00\x00\x00\x00\x00\x00", "mxnet-params"),  # kMXAPINDArrayListMagic
    (b"tree\nversion=v", "lightgbm"),
    (b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner", "xgboost"),  # UBJSON
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "torch-weights"),  # torch.save before 1.6
)
_PICKLES: tuple[bytes, ...] = tuple(b"\x80" + bytes([version]) for version in range(2, 6))
_PICKLES += (b"(dp", b"(lp", b"ccopy_reg\n", b"cnumpy", b"csklearn")  # as text, by Python 2
_PICKLES += (b"x\x9c", b"x\x01", b"x\xda")  # packed by joblib
_NEON_WORDS = (b"neon_version", b"neon.layers", b"neon.models", b"layer_params_states")


def kind_of(file: BinaryIO) -> Kind:
    """What the seekable `file` holds, as far as its own bytes tell."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if not head:
        return "empty"
    found = _kind_by_start(head)
    for look in (_zip_kind, _json_kind, _pickle_kind):
        found = found or look(file, head)
    return found or _protobuf_kind(file, head)


def _kind_by_start(head: bytes) -> Kind | None:
    if head[4:8] == b"TFL3":
        return "tflite"
    if _is_safetensors(head):
        return "safetensors"
    return next((kind for start, kind in _STARTS if head.startswith(start)), None)


def _is_safetensors(head: bytes) -> bool:
    size = int.from_bytes(head[:8], "little")
    return 1 < size <= _MAX_HEADER_BYTES and head[8:9] == b"{"


def _zip_kind(file: BinaryIO, head: bytes) -> Kind | None:
    """TorchScript keeps code, a state_dict a pickle, torch.export JSON, Keras a config."""
    if not head.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return "unknown"
    tails = {name.partition("/")[2] for name in names}
    has_code = any(tail.startswith("code/") for tail in tails)
    claims: tuple[tuple[bool, Kind], ...] = (
        ("neuron.json" in names, "neuron"),
        ("archive_format" in tails or "serialized_exported_program.json" in names, "pt2"),
        ("constants.pkl" in tails and has_code, "torchscript"),
        ("data.pkl" in tails, "torch-weights"),
        ({"config.json", "metadata.json"} <= set(names), "keras"),
    )
    return next((kind for is_true, kind in claims if is_true), "unknown")


def _json_kind(file: BinaryIO, head: bytes) -> Kind | None:
    if not head.lstrip().startswith(b"{"):
        return None
    if _mentions(file, (b'"arg_nodes"',)):
        return "mxnet-symbol"
    return "xgboost" if _mentions(file, (b'"learner"',)) else "unknown"


def _pickle_kind(file: BinaryIO, head: bytes) -> Kind | None:
    if not head.startswith(_PICKLES):
        return None
    return "neon" if _mentions(file, _NEON_WORDS) else "pickle"


def _mentions(file: BinaryIO, words: tuple[bytes, ...]) -> bool:
    """Whether one of `words` is anywhere in the file."""
    file.seek(0)
    overlap = max(len(word) for word in words)
    before = b""
    while chunk := file.read(_CHUNK_BYTES):
        text = before + chunk
        if any(word in text for word in words):
            return True
        before = text[-overlap:]
    return False


def _protobuf_kind(file: BinaryIO, head: bytes) -> Kind:
    fields = list(_outermost(file))
    kinds = {(field.number, field.wire_type) for field in fields}
    numbers = {number for number, _ in kinds}
    if {(1, VARINT), (7, BYTES)} <= kinds:
        return "onnx"
    if (1, VARINT) in kinds and any(number >= _FIRST_COREML_TYPE for number in numbers):
        return "coreml"
    is_whole = bool(fields) and fields[-1].span.end == file.seek(0, os.SEEK_END)
    if kinds == {(1, VARINT), (2, BYTES)} and is_whole:  # an ONNX file may be cut behind these
        return "savedmodel"
    if (1, BYTES) in kinds and numbers <= {1, 2, 3, 4} and _is_node(file, fields[0]):
        return "graphdef"
    # A cut ONNX file begins with its version, and the reader of ONNX says best what is wrong.
    return "onnx" if head[0] == 1 << 3 else "unknown"


def _outermost(file: BinaryIO) -> Iterator[Field]:
    """The fields of the file as one message, up to the first that cannot be."""
    reader = Reader(file)
    file.seek(0, os.SEEK_END)
    try:
        for index, field in enumerate(reader.fields(reader.whole())):
            yield field
            if index >= _MAX_FIELDS:
                return
    except Malformed:
        return


def _is_node(file: BinaryIO, field: Field) -> bool:
    """Whether a GraphDef's first message is a node: a name, and an operator in plain letters."""
    reader = Reader(file)
    try:
        return field.wire_type == BYTES and reader.text(field.span, 2).isidentifier()
    except Malformed:
        return False
