from __future__ import annotations

import io
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hookline.core.errors import InvalidModel
from hookline.core.models import TensorSpec
from hookline.core.onnxfile import inspect


def graph(**parts: Any) -> Any:
    defaults: dict[str, Any] = {
        "nodes": [helper.make_node("Identity", ["x"], ["y"])],
        "inputs": [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8])],
        "outputs": [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1, 8, 8])],
        "initializer": [],
    }
    chosen = {**defaults, **parts}
    return helper.make_graph(
        chosen["nodes"], "g", chosen["inputs"], chosen["outputs"], chosen["initializer"]
    )


def model(**parts: Any) -> Any:
    return helper.make_model(
        graph(**parts),
        producer_name="test",
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
    )


def read(proto: Any) -> Any:
    return inspect(io.BytesIO(proto.SerializeToString()))


def weight(name: str = "w") -> Any:
    return numpy_helper.from_array(np.zeros((4, 4), np.float32), name)


def external(name: str = "w", location: str = "weights.bin") -> Any:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def constant(tensor: Any) -> Any:
    return helper.make_node("Constant", [], ["c"], value=tensor)


def test_the_signature_the_metadata_and_the_origin_are_read() -> None:
    proto = model()
    proto.metadata_props.add(key="labels", value='["zero", "one"]')

    found = read(proto)

    assert found.inputs == (TensorSpec(name="x", dtype="float32", shape=(-1, 1, 8, 8)),)
    assert found.outputs == (TensorSpec(name="y", dtype="float32", shape=(-1, 1, 8, 8)),)
    assert found.metadata == {"labels": '["zero", "one"]'}
    assert (found.opset, found.producer) == (17, "test")


def test_weights_that_are_also_inputs_are_not_inputs() -> None:
    inputs = [
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 4]),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4]),
    ]

    assert [i.name for i in read(model(inputs=inputs, initializer=[weight()])).inputs] == ["x"]


def test_several_inputs_and_outputs_keep_their_order_and_types() -> None:
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, [None, "length"]),
        helper.make_tensor_value_info("text", TensorProto.STRING, []),
        helper.make_tensor_value_info("half", TensorProto.FLOAT16, None),
    ]

    assert read(model(inputs=inputs)).inputs == (
        TensorSpec(name="ids", dtype="int64", shape=(-1, -1)),
        TensorSpec(name="text", dtype="string", shape=()),
        TensorSpec(name="half", dtype="float16", shape=()),
    )


def test_a_large_model_is_described_without_reading_its_weights() -> None:
    class Counting(io.BytesIO):
        bytes_read = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            Counting.bytes_read += len(data)
            return data

    big = numpy_helper.from_array(np.zeros((4096, 4096), np.float32), "w")
    data = model(initializer=[big]).SerializeToString()

    inspect(Counting(data))

    assert Counting.bytes_read < len(data) / 10


@pytest.mark.parametrize(
    "data",
    [b"", b"not a model", b"PK\x03\x04" + bytes(100), b"\x80\x04\x95", b"\xff" * 64, bytes(64)],
    ids=["empty", "text", "zip", "pickle", "ones", "zeros"],
)
def test_something_else_is_refused_with_what_to_do(data: bytes) -> None:
    with pytest.raises(InvalidModel) as refused:
        inspect(io.BytesIO(data))

    assert refused.value.what == "The file is not a whole ONNX model."
    assert "torch.onnx.export" in refused.value.hint


def test_a_file_cut_short_is_refused_saying_where() -> None:
    data = model(initializer=[weight()]).SerializeToString()

    with pytest.raises(InvalidModel, match=r"a field of \d+ bytes starts, but only \d+ are left"):
        inspect(io.BytesIO(data[: len(data) // 2]))


def test_a_model_without_a_graph_is_refused() -> None:
    with pytest.raises(InvalidModel, match="no graph"):
        read(onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", 17)]))


def test_a_graph_without_inputs_or_outputs_is_refused() -> None:
    with pytest.raises(InvalidModel, match="no inputs"):
        read(model(inputs=[]))
    with pytest.raises(InvalidModel, match="no outputs"):
        read(model(outputs=[]))


def test_a_sequence_of_tensors_and_score_maps_are_described_as_arrays() -> None:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [None])
    scores = helper.make_map_type_proto(TensorProto.INT64, tensor)
    outputs = [
        helper.make_value_info("tables", helper.make_sequence_type_proto(tensor)),
        helper.make_value_info("maps", helper.make_sequence_type_proto(scores)),
    ]

    found = read(model(outputs=outputs)).outputs

    assert [(each.dtype, each.shape) for each in found] == [
        ("float32", (-1, -1, -1)),
        ("float32", (-1, -1)),
    ]


def test_an_optional_output_is_refused_naming_it_and_the_mend() -> None:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [None])
    outputs = [helper.make_value_info("scores", helper.make_optional_type_proto(tensor))]

    with pytest.raises(InvalidModel, match="'scores' is not a tensor") as refused:
        read(model(outputs=outputs))

    assert "zipmap" in refused.value.hint


def test_an_unknown_tensor_type_is_refused() -> None:
    with pytest.raises(InvalidModel, match="type that is not supported"):
        read(model(inputs=[helper.make_tensor_value_info("x", 99, [1])]))


def nested(tensor: Any, depth: int) -> Any:
    inner = graph(nodes=[constant(tensor)])
    for _ in range(depth):
        inner = graph(nodes=[helper.make_node("If", ["x"], ["y"], then_branch=inner)])
    return inner


def external_in_a_function() -> Any:
    proto = model()
    opset = [helper.make_opsetid("", 17)]
    proto.functions.append(
        helper.make_function("own", "F", [], ["c"], [constant(external())], opset)
    )
    return proto


def external_in_training() -> Any:
    proto = model()
    proto.training_info.add().algorithm.CopyFrom(graph(initializer=[external()]))
    return proto


def external_in_a_sparse_weight() -> Any:
    proto = model()
    proto.graph.sparse_initializer.add().values.CopyFrom(external())
    return proto


def external_without_a_location() -> Any:
    tensor = external()
    del tensor.external_data[:]
    return model(initializer=[tensor])


def external_that_claims_to_be_inside() -> Any:
    tensor = external()
    tensor.data_location = TensorProto.DEFAULT
    return model(initializer=[tensor])


EXTERNAL = {
    "initializer": lambda: model(initializer=[external()]),
    "absolute": lambda: model(initializer=[external(location="/etc/passwd")]),
    "climbing": lambda: model(initializer=[external(location="a/../../etc/passwd")]),
    "constant": lambda: model(nodes=[constant(external())]),
    "subgraph": lambda: helper.make_model(nested(external(), 3)),
    "function": external_in_a_function,
    "training": external_in_training,
    "sparse": external_in_a_sparse_weight,
    "no location": external_without_a_location,
    "denied": external_that_claims_to_be_inside,
}


@pytest.mark.parametrize("where", EXTERNAL)
def test_weights_in_other_files_are_refused_wherever_they_hide(where: str) -> None:
    with pytest.raises(InvalidModel, match="weights are in other files") as refused:
        read(EXTERNAL[where]())

    assert "as one file" in refused.value.hint


def message(number: int, payload: bytes) -> bytes:
    """A field that holds a message: protobuf libraries refuse to write what is below."""
    size, prefix = len(payload), bytearray([number << 3 | 2])
    while size > 127:
        prefix.append(size & 127 | 128)
        size >>= 7
    return bytes(prefix) + bytes([size]) + payload


def test_graphs_nested_absurdly_deep_are_refused() -> None:
    inner = b""
    for _ in range(500):
        inner = message(1, message(5, message(6, inner)))  # a node, its attribute, the graph in it

    with pytest.raises(InvalidModel, match="nested more than"):
        inspect(io.BytesIO(b"\x08\x08" + message(7, inner) + message(8, b"\x10\x11")))


def test_graphs_nested_reasonably_are_read() -> None:
    assert read(helper.make_model(nested(weight(), 10))).inputs[0].name == "x"


def test_an_absurd_length_is_refused_without_taking_memory() -> None:
    with pytest.raises(InvalidModel, match=r"a field of \d+ bytes starts"):
        inspect(io.BytesIO(b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))


@pytest.mark.timeout(20)  # unbounded, it takes many times as long
def test_a_file_of_tiny_fields_ends_in_a_refusal() -> None:
    with pytest.raises(InvalidModel):
        inspect(io.BytesIO(b"\x08\x07" * 400_000))


def test_text_that_is_not_utf8_is_refused() -> None:
    data = bytearray(model().SerializeToString())
    at = data.index(b"test")
    data[at] = 0xFF

    with pytest.raises(InvalidModel, match="not UTF-8"):
        inspect(io.BytesIO(bytes(data)))
