"""The messages of the Open Inference Protocol's gRPC service, with the published field numbers.

They live in a pool of their own: hooks that import a client of the same protocol bring messages of
the same names, and one pool takes each name once. `[]` is repeated, `{}` a map of parameters, and
`|` one of several.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/open_inference_grpc.proto
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
_SCHEMA = """
ServerLiveRequest
ServerLiveResponse        live bool 1
ServerReadyRequest
ServerReadyResponse       ready bool 1
ModelReadyRequest         name string 1, version string 2
ModelReadyResponse        ready bool 1
ServerMetadataRequest
ServerMetadataResponse    name string 1, version string 2, extensions string[] 3
ModelMetadataRequest      name string 1, version string 2
TensorMetadata            name string 1, datatype string 2, shape int64[] 3
ModelMetadataResponse     name string 1, versions string[] 2, platform string 3, \
inputs TensorMetadata[] 4, outputs TensorMetadata[] 5
InferParameter            bool_param bool| 1, int64_param int64| 2, string_param string| 3, \
double_param double| 4, uint64_param uint64| 5
InferTensorContents       bool_contents bool[] 1, int_contents int32[] 2, \
int64_contents int64[] 3, uint_contents uint32[] 4, uint64_contents uint64[] 5, \
fp32_contents float[] 6, fp64_contents double[] 7, bytes_contents bytes[] 8
InferInputTensor          name string 1, datatype string 2, shape int64[] 3, parameters {} 4, \
contents InferTensorContents 5
InferRequestedOutputTensor  name string 1, parameters {} 2
InferOutputTensor         name string 1, datatype string 2, shape int64[] 3, parameters {} 4, \
contents InferTensorContents 5
ModelInferRequest         model_name string 1, model_version string 2, id string 3, \
parameters {} 4, inputs InferInputTensor[] 5, outputs InferRequestedOutputTensor[] 6, \
raw_input_contents bytes[] 7
ModelInferResponse        model_name string 1, model_version string 2, id string 3, \
parameters {} 4, outputs InferOutputTensor[] 5, raw_output_contents bytes[] 6
ModelStreamInferResponse  error_message string 1, infer_response ModelInferResponse 2
"""
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}
_PARAMETER, _ENTRY = "InferParameter", "ParametersEntry"


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="hookline/inference.proto", package=PACKAGE, syntax="proto3"
    )
    for line in _SCHEMA.strip().splitlines():
        name, _, fields = line.partition(" ")
        message = file.message_type.add(name=name)
        for field in filter(None, fields.strip().split(", ")):
            _add(message, *field.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{PACKAGE}.{message.name}")
        )
        for message in file.message_type
    }


def _add(message: descriptor_pb2.DescriptorProto, name: str, kind: str, number: str) -> None:
    """Add a field to `message`."""
    is_map, is_choice = kind == "{}", kind.endswith("|")
    is_repeated = kind.endswith("[]") or is_map
    bare = _ENTRY if is_map else kind.removesuffix("[]").removesuffix("|")
    field = message.field.add(
        name=name,
        number=int(number),
        label=_Field.LABEL_REPEATED if is_repeated else _Field.LABEL_OPTIONAL,
    )
    if is_map:
        entry = message.nested_type.add(name=_ENTRY)
        entry.options.map_entry = True
        _add(entry, "key", "string", "1")
        _add(entry, "value", _PARAMETER, "2")
    if is_choice:
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    if bare in _SCALARS:
        field.type = _SCALARS[bare]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{message.name}.{bare}" if is_map else f".{PACKAGE}.{bare}"


MESSAGES = _classes()
