"""The answer to a request to infer, as JSON and the binary tensors behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from hookline.core.errors import InvalidInput
from hookline.runtime.fitting import Array
from hookline.runtime.v2.datatypes import datatype_of_array, to_bytes, to_json
from hookline.runtime.v2.question import Question, Wanted

_encode = msgspec.json.Encoder().encode
_JSON, _OCTETS = b"application/json", b"application/octet-stream"
LENGTH_HEADER = b"inference-header-content-length"


@dataclass(frozen=True, slots=True)
class Output:
    """A tensor to send, in whatever form was asked for."""

    name: str
    values: Array
    is_binary: bool


def chosen(question: Question, outputs: Mapping[str, Array], labels: Sequence[str]) -> list[Output]:
    """The outputs that were asked for. Raise InvalidInput for one that does not exist."""
    wanted = question.outputs or [Wanted(name, question.is_binary) for name in outputs]
    found = []
    for one in wanted:
        if one.name not in outputs:
            raise InvalidInput(
                f"There is no output {one.name[:100]!r}.",
                why=f"The outputs are {', '.join(outputs)}.",
            )
        values = outputs[one.name]
        if one.classes:
            values = classified(one.name, values, one.classes, labels)
        found.append(Output(one.name, values, one.is_binary))
    return found


def classified(name: str, scores: Array, count: int, labels: Sequence[str]) -> Array:
    """`value:index[:label]` of the `count` highest scores of each row, as bytes [N, count]."""
    if scores.dtype.kind not in "fiu":
        raise InvalidInput(f"The output {name} holds no scores, so it has no classes.")
    rows = scores.reshape(len(scores), -1) if scores.ndim > 1 else scores.reshape(1, -1)
    best = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :count]
    texts: Array = np.empty(best.shape, object)
    for row, indices in enumerate(best.tolist()):
        for at, index in enumerate(indices):
            label = f":{labels[index]}" if index < len(labels) else ""
            texts[row, at] = f"{float(rows[row, index]):f}:{index}{label}".encode()
    return texts


def encoded(
    question: Question, outputs: Sequence[Output], model: str, version: str
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body."""
    tensors, pieces = [], []
    for output in outputs:
        tensor: dict[str, Any] = {
            "name": output.name,
            "datatype": datatype_of_array(output.values),
            "shape": list(output.values.shape),
        }
        if output.is_binary:
            piece = to_bytes(output.values)
            pieces.append(piece)
            tensor["parameters"] = {"binary_data_size": len(piece)}
        else:
            tensor["data"] = to_json(output.name, output.values)
        tensors.append(tensor)
    named = {"id": question.id} if question.id else {}
    header = _encode({"model_name": model, "model_version": version, **named, "outputs": tensors})
    if not pieces:
        return [(b"content-type", _JSON)], header
    length = (LENGTH_HEADER, b"%d" % len(header))
    return [(b"content-type", _OCTETS), length], b"".join([header, *pieces])
