"""A request to infer, read from JSON and the binary tensors behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hookline.core.errors import BadRequest, InvalidInput
from hookline.runtime.batcher import DEFAULT_URGENCY, URGENCIES
from hookline.runtime.fitting import Array
from hookline.runtime.v2.datatypes import checked_shape, from_bytes, from_json

_SHARED_MEMORY = "shared_memory_region"
_SEQUENCE = ("sequence_id", "sequence_start", "sequence_end")
_MICROSECONDS = 1_000_000

Parameters = Mapping[str, Any]


class JsonInput(msgspec.Struct):
    """A tensor as JSON says it."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: Any = None


class JsonOutput(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class JsonRequest(msgspec.Struct):
    """The JSON of a request."""

    inputs: list[JsonInput]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[JsonOutput] | None = None


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input that was sent, whole. `mime_type` is of the files that its elements are, if said."""

    name: str
    datatype: str
    values: Array
    mime_type: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output to send: as bytes or JSON, or its `classes` highest values with their names."""

    name: str
    is_binary: bool = False
    classes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request to infer. Without `outputs` all are wanted, each as `is_binary` says.

    `timeout_s` 0: none was given. `size_bytes` is that of the request.
    """

    inputs: Sequence[Tensor]
    outputs: Sequence[Wanted] = ()
    id: str = ""
    is_binary: bool = False
    timeout_s: float = 0.0
    urgency: int = DEFAULT_URGENCY
    body: bytes = field(default=b"", repr=False)


_decode = msgspec.json.Decoder(JsonRequest).decode


def question_in(body: bytes, header_bytes: int | None) -> Question:
    """The request in `body`, whose JSON has `header_bytes`; None is all of it."""
    end = len(body) if header_bytes is None else header_bytes
    whole = memoryview(body)
    if end > len(body):
        raise BadRequest(
            f"Inference-Header-Content-Length is {end}, and the body has {len(body)} bytes."
        )
    try:
        request = _decode(whole[:end])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInput("The request is not one to infer.", why=f"{error}.") from error
    except RecursionError as error:
        raise InvalidInput("The JSON is nested too deeply.") from error
    is_binary = flag(request.parameters, "binary_data_output")
    return Question(
        inputs=_tensors(request.inputs, whole[end:]),
        outputs=[_wanted(output, is_binary=is_binary) for output in request.outputs or ()],
        id=request.id,
        is_binary=is_binary,
        body=body,
        **scheduling(request.parameters),
    )


def scheduling(parameters: Parameters) -> dict[str, Any]:
    """`timeout_s` and `urgency` of a request. Raise BadRequest for a sequence."""
    if any(parameters.get(name) for name in _SEQUENCE):
        raise BadRequest(
            "This stream keeps no state between requests, so there are no sequences.",
            why=f"The request has {', '.join(n for n in _SEQUENCE if parameters.get(n))}.",
            hint="Send each request on its own, with all that it needs.",
        )
    found: dict[str, Any] = {}
    if timeout := _whole(parameters, "timeout"):
        found["timeout_s"] = timeout / _MICROSECONDS
    if priority := _whole(parameters, "priority"):
        if priority > URGENCIES:
            raise BadRequest(f"priority is from 1, the most urgent, to {URGENCIES}.")
        found["urgency"] = priority - 1
    return found


def classes(parameters: Parameters) -> int:
    """How many classes the classification extension is asked for; 0 for the output itself."""
    return _whole(parameters, "classification")


def flag(parameters: Parameters, name: str, *, default: bool = False) -> bool:
    """A parameter that is true or false. Raise BadRequest for any other value."""
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise BadRequest(f"The parameter {name} is true or false.")
    return value


def refuse_shared_memory(parameters: Parameters) -> None:
    """Raise BadRequest where a tensor lies in memory that client and server share."""
    if _SHARED_MEMORY in parameters:
        raise BadRequest(
            "Tensors in shared memory are not supported.", hint="Send them in the request."
        )


def _whole(parameters: Parameters, name: str) -> int:
    value = parameters.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadRequest(f"The parameter {name} is a whole number from 0.")
    return value


def _tensors(inputs: Sequence[JsonInput], rest: memoryview) -> list[Tensor]:
    found, at = [], 0
    for given in inputs:
        refuse_shared_memory(given.parameters)
        shape = checked_shape(given.name, given.datatype, given.shape)
        if "binary_data_size" in given.parameters:
            end = at + _whole(given.parameters, "binary_data_size")
            if end > len(rest) or given.data is not None:
                raise BadRequest(
                    f"The input {given.name} does not fit its binary_data_size.",
                    why="It also has data." if given.data is not None else "The body is shorter.",
                )
            values = from_bytes(given.name, given.datatype, shape, rest[at:end])
            at = end
        else:
            values = from_json(given.name, given.datatype, shape, given.data)
        mime_type = given.parameters.get("content_type", "")
        kind = mime_type if isinstance(mime_type, str) and "/" in mime_type else ""
        found.append(Tensor(given.name, given.datatype, values, kind))
    if at != len(rest):
        raise BadRequest(
            f"{len(rest) - at} bytes follow the last tensor.",
            hint="Say the length of the JSON with Inference-Header-Content-Length.",
        )
    return found


def _wanted(output: JsonOutput, *, is_binary: bool) -> Wanted:
    refuse_shared_memory(output.parameters)
    return Wanted(
        output.name,
        flag(output.parameters, "binary_data", default=is_binary),
        classes(output.parameters),
    )
