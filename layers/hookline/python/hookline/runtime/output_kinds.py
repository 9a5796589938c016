"""Canned formatters of models that are no classifiers.

regression  {"label": false, "output": …}
embedding   {"normalize": false, "output": …}
tokens      {"end": number of the token that ends, "label": false, "separator": " ", "output": …}
boxes       {"min_score": 0.5, "max_boxes": 100, "label": false, "output": …, "scores": …,
             "indices": …}

Each writes one example's output, which has no batch axis. `output` and its like name outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np

from hookline.core.errors import InvalidOutput
from hookline.runtime.items import Answer
from hookline.runtime.rendering import JSON, array_json, encoded, json_text

Array = np.ndarray[Any, Any]
Labels = Sequence[str]
_BOX, _ROW = 4, 6  # x1, y1, x2, y2; and a score and a class beside them
_MATRIX = 2


class RegressionArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How values are written."""

    label: bool = False
    output: str = ""


class EmbeddingArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a vector is written."""

    normalize: bool = False
    output: str = ""


class TokensArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a sequence of tokens is written. Without `end` it has all that the model gave."""

    end: int | None = None
    label: bool = False
    separator: str = " "
    output: str = ""


class BoxesArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which boxes are written, and the outputs they are in."""

    min_score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    max_boxes: Annotated[int, msgspec.Meta(ge=1)] = 100
    label: bool = False
    output: str = ""
    scores: str = ""
    indices: str = ""


def regression(args: RegressionArgs, labels: Labels, output: Any, _: bytes) -> Answer:
    """{"values": [{"label": …, "value": …}, …]}, in the order of the model."""
    values = _numbers(output, args.output).ravel()
    names = [{"label": json_text(_label(labels, at))} if args.label else {} for at in _each(values)]
    told = [name | {"value": array_json(values[at, ...])} for at, name in enumerate(names)]
    return _answer({"values": _list([_object(each) for each in told])})


def embedding(args: EmbeddingArgs, _labels: Labels, output: Any, _: bytes) -> Answer:
    """{"embedding": […], "dimensions": …}. A vector of zeros stays one."""
    vector = _numbers(output, args.output).ravel()
    if args.normalize:
        length = float(np.linalg.norm(vector.astype(np.float64)))
        vector = vector / vector.dtype.type(length) if length else vector
    return _answer({"embedding": array_json(vector), "dimensions": str(vector.size)})


def tokens(args: TokensArgs, labels: Labels, output: Any, _: bytes) -> Answer:
    """{"tokens": […], "text": "…"}; a list of each where there are several sequences."""
    found = _numbers(output, args.output)
    if found.dtype.kind == "f" and found.ndim == _MATRIX:
        found = found.argmax(axis=-1)
    if found.ndim not in (1, _MATRIX) or found.dtype.kind == "f":
        raise _misfit(found, "tokens [T], their scores [T, V], or sequences of tokens [B, T]")
    rows = [_until(row.tolist(), args.end) for row in np.atleast_2d(found)]
    texts = [args.separator.join(str(_label(labels, at)) for at in row) for row in rows]
    is_one = found.ndim == 1
    told = {"tokens": json_text(rows[0] if is_one else rows)}
    if args.label:
        told["text"] = json_text(texts[0] if is_one else texts)
    return _answer(told)


def boxes(args: BoxesArgs, labels: Labels, output: Any, _: bytes) -> Answer:
    """{"boxes": [{"box": […], "score": …, "index": …, "label": …}, …]}, best first."""
    places, scores, indices = _detections(args, output)
    best = np.argsort(-scores.astype(np.float64), kind="stable")
    kept = [at for at in best.tolist() if scores[at] >= args.min_score][: args.max_boxes]
    told = []
    for at in kept:
        index = int(indices[at])
        members = {"box": array_json(places[at]), "score": array_json(scores[at, ...])}
        members["index"] = str(index)
        if args.label:
            members["label"] = json_text(_label(labels, index))
        told.append(_object(members))
    return _answer({"boxes": _list(told)})


def _detections(args: BoxesArgs, output: Any) -> tuple[Array, Array, Array]:
    """Boxes [N, 4], their scores [N], and their classes [N]."""
    if not isinstance(output, Mapping) or not args.scores:
        rows = _numbers(output, args.output)
        if rows.ndim != _MATRIX or rows.shape[1] != _ROW:
            raise _misfit(rows, "rows of a box, its score and its class [N, 6]")
        return rows[:, :_BOX], rows[:, _BOX], rows[:, _BOX + 1]
    places, scores = _numbers(output, args.output), _numbers(output, args.scores)
    if scores.ndim == _MATRIX:
        indices, scores = scores.argmax(axis=1), scores.max(axis=1, initial=0)
    elif args.indices:
        indices = _numbers(output, args.indices)
    else:
        indices = np.zeros(len(scores), np.int64)
    if places.ndim != _MATRIX or places.shape[1] != _BOX:
        raise _misfit(places, "boxes [N, 4]")
    if not len(places) == len(scores) == len(indices):
        raise _misfit(scores, f"a score and a class for each of the {len(places)} boxes")
    return places, scores, indices


def _numbers(output: Any, name: str) -> Array:
    if isinstance(output, Mapping):
        if name not in output:
            raise InvalidOutput(
                f"The outputs are {', '.join(map(str, output))}.",
                why="The formatter cannot tell which one to write.",
                hint='Name it in the formatter\'s arguments: {"output": …}.',
            )
        output = output[name]
    array = np.asarray(output)
    if array.dtype.kind not in "biuf":
        raise _misfit(array, "numbers")
    return array


def _misfit(array: Array, wanted: str) -> InvalidOutput:
    return InvalidOutput(
        f"The output is {array.dtype} of shape {list(array.shape)}.",
        why=f"The formatter needs {wanted}.",
        hint="Use the raw formatter, or write a postprocess hook.",
    )


def _until(row: list[int], end: int | None) -> list[int]:
    return row[: row.index(end)] if end in row else row


def _label(labels: Labels, at: int) -> str | None:
    return labels[at] if 0 <= at < len(labels) else None


def _each(values: Array) -> range:
    return range(values.size)


def _answer(members: Mapping[str, str]) -> Answer:
    return Answer(encoded(_object(members)), JSON)


def _object(members: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{json_text(name)}: {text}' for name, text in members.items())}}}"


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(texts)}]"


KINDS: dict[str, tuple[type[msgspec.Struct], Callable[..., Answer]]] = {
    "regression": (RegressionArgs, regression),
    "embedding": (EmbeddingArgs, embedding),
    "tokens": (TokensArgs, tokens),
    "boxes": (BoxesArgs, boxes),
}
