"""Whatever the bytes, reading a model ends in a description or in InvalidModel."""

from __future__ import annotations

import contextlib
import io

import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from hookline.core.errors import InvalidModel
from hookline.core.onnxfile import inspect

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
SHAPES = st.lists(st.none() | st.integers(0, 2**40), max_size=5)
TENSORS = st.dictionaries(
    NAMES, st.tuples(st.sampled_from([1, 2, 6, 7, 8, 9, 10, 11]), SHAPES), min_size=1, max_size=4
)


def model(inputs: dict[str, tuple[int, list[int | None]]], metadata: dict[str, str]) -> bytes:
    tensors = [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    nodes = [helper.make_node("Identity", [next(iter(inputs))], ["y"])]
    proto = helper.make_model(helper.make_graph(nodes, "g", tensors, [output]))
    helper.set_model_props(proto, metadata)
    data: bytes = proto.SerializeToString()
    return data


@given(TENSORS, st.dictionaries(NAMES, st.text(st.characters(codec="utf-8")), max_size=3))
def test_a_model_is_described_as_onnx_describes_it(
    inputs: dict[str, tuple[int, list[int | None]]], metadata: dict[str, str]
) -> None:
    data = model(inputs, metadata)

    found = inspect(io.BytesIO(data))

    assert [tensor.name for tensor in found.inputs] == list(inputs)
    for tensor, (elem_type, shape) in zip(found.inputs, inputs.values(), strict=True):
        dtype = onnx.TensorProto.DataType.Name(elem_type).lower()
        assert tensor.dtype == {"float": "float32", "double": "float64"}.get(dtype, dtype)
        assert tensor.shape == tuple(-1 if size is None else size for size in shape)
    assert found.metadata == metadata


@given(st.binary(max_size=200))
def test_any_bytes_are_described_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidModel):
        inspect(io.BytesIO(data))


GOOD = model({"x": (1, [None, 3, 8, 8])}, {"labels": '["a", "b"]'})


@given(st.data())
def test_a_damaged_model_is_described_or_refused(data: st.DataObject) -> None:
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))

    with contextlib.suppress(InvalidModel):
        inspect(io.BytesIO(bytes(damaged)))


@given(st.integers(0, len(GOOD)))
def test_a_model_cut_anywhere_is_described_or_refused(size: int) -> None:
    with contextlib.suppress(InvalidModel):
        inspect(io.BytesIO(GOOD[:size]))
