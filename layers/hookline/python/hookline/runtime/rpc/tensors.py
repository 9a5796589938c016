"""Between the messages of the gRPC service and requests as the rest of the runtime knows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hookline.core.errors import BadRequest, InvalidInput
from hookline.runtime.v2.datatypes import (
    checked_shape,
    datatype_of_array,
    from_bytes,
    from_json,
    to_bytes,
)
from hookline.runtime.v2.question import (
    Question,
    Tensor,
    Wanted,
    classes,
    refuse_shared_memory,
    scheduling,
)
from hookline.runtime.v2.reply import Output

Message = Any  # protobuf makes its classes at run time
_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def question_of(request: Message) -> Question:
    """The request in a ModelInferRequest. Raise the HooklineError that refuses it."""
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise BadRequest(
            f"There are {len(raw)} raw_input_contents for {len(request.inputs)} inputs.",
            hint="Send all inputs raw, or none.",
        )
    bodies: Sequence[bytes | None] = raw or [None] * len(request.inputs)
    pairs = zip(request.inputs, bodies, strict=True)
    return Question(
        inputs=[_tensor(given, body) for given, body in pairs],
        outputs=[
            Wanted(output.name, is_binary=True, classes=classes(_parameters(output)))
            for output in request.outputs
        ],
        id=request.id,
        is_binary=True,
        body=max(raw, key=len, default=b""),
        **scheduling(_parameters(request)),
    )


def fill(response: Message, outputs: Sequence[Output]) -> None:
    """Put the outputs into a ModelInferResponse."""
    for output in outputs:
        response.outputs.add(
            name=output.name,
            datatype=datatype_of_array(output.values),
            shape=output.values.shape,
        )
        response.raw_output_contents.append(to_bytes(output.values))


def _tensor(given: Message, body: bytes | None) -> Tensor:
    parameters = _parameters(given)
    refuse_shared_memory(parameters)
    shape = checked_shape(given.name, given.datatype, given.shape)
    if body is not None:
        values = from_bytes(given.name, given.datatype, shape, memoryview(body))
    elif given.datatype in _CONTENTS:
        data = list(getattr(given.contents, _CONTENTS[given.datatype]))
        values = from_json(given.name, given.datatype, shape, data)
    else:
        raise InvalidInput(
            f"The input {given.name} is {given.datatype}, which goes in raw_input_contents alone."
        )
    kind = parameters.get("content_type", "")
    mime_type = kind if isinstance(kind, str) and "/" in kind else ""
    return Tensor(given.name, given.datatype, values, mime_type)


def _parameters(message: Message) -> dict[str, Any]:
    found = {}
    for name, parameter in message.parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is not None:
            found[name] = getattr(parameter, choice)
    return found
