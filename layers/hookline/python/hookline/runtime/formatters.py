"""The canned output formatters: postprocess hooks for models whose author wrote none.

raw             {"format_as": "json" | "csv" | "tsv"}
classification  {"num_preds": 1, "probability": true, "label": false, "index": false,
                 "output": name of the output with the scores}

Scores are reported as the model gives them: logits stay logits. Numbers that are not finite
follow `hookline.runtime.rendering`, and rank below every other score. Those of models that are no
classifiers are in `hookline.runtime.output_kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np

from hookline.core.errors import InvalidInput, InvalidOutput
from hookline.runtime.backends.tensors import TensorSpec
from hookline.runtime.items import Answer
from hookline.runtime.output_kinds import KINDS
from hookline.runtime.rendering import JSON, array_json, cells, encoded, json_text

Array = np.ndarray[Any, Any]
Postprocess = Callable[[Any, bytes], Answer]
Args = TypeVar("Args", bound=msgspec.Struct)
_DELIMITED = {"csv": (", ", "text/csv"), "tsv": ("\t", "text/tab-separated-values")}
_MATRIX = 2


class RawArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the raw formatter writes values."""

    format_as: Literal["json", "csv", "tsv"] = "json"


class ClassificationArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the classification formatter shows of each class, and of how many."""

    num_preds: Annotated[int, msgspec.Meta(ge=1)] = 1
    probability: bool = True
    label: bool = False
    index: bool = False
    output: str = ""


def formatter_for(
    name: str,
    args: Mapping[str, Any],
    labels: Sequence[str] = (),
    outputs: Sequence[TensorSpec] = (),
) -> Postprocess:
    """The postprocess hook called `name`. Raise InvalidInput for arguments it cannot follow.

    `outputs` are the model's, where they are known.
    """
    if name == "raw":
        return partial(_raw, _parsed(name, args, RawArgs))
    if name in KINDS:
        kind, write = KINDS[name]
        return partial(write, _with_labels(name, _parsed(name, args, kind), labels), tuple(labels))
    chosen = _parsed(name, args, ClassificationArgs)
    if not (chosen.probability or chosen.label or chosen.index):
        raise InvalidInput(
            "The classification formatter has nothing to show.",
            hint="Turn on probability, label or index.",
        )
    _with_labels(name, chosen, labels)
    return partial(_classification, chosen, tuple(labels), _scores_output(chosen, outputs))


def _parsed(name: str, args: Mapping[str, Any], kind: type[Args]) -> Args:
    try:
        return msgspec.convert(args, kind)
    except msgspec.ValidationError as error:
        allowed = ", ".join(
            f"{field.name} ({json_text(field.default)} by default)"
            for field in msgspec.structs.fields(kind)
        )
        raise InvalidInput(
            f"The {name} formatter cannot follow its arguments.",
            why=f"{error}.",
            hint=f"It takes {allowed}.",
        ) from error


def _with_labels(name: str, args: Args, labels: Sequence[str]) -> Args:
    """`args`, unless they ask for the labels of a model that has none."""
    if getattr(args, "label", False) and not labels:
        raise InvalidInput(
            f"The {name} formatter cannot show labels: the model has none.",
            hint="Import the model with --labels, or leave label out.",
        )
    return args


def _raw(args: RawArgs, output: Any, _: bytes) -> Answer:
    """Every value of the output: {"outputs": […], "shape": […]}, or lines of delimited text."""
    if not isinstance(output, Mapping):
        array = _as_example(output)
        if args.format_as != "json":
            return _delimited([array], args.format_as)
        return _raw_json(array_json(array), str(_reported_shape(array)))
    arrays = {str(name): _as_example(value) for name, value in output.items()}
    if args.format_as != "json":
        return _delimited(arrays.values(), args.format_as)
    return _raw_json(
        _object({name: array_json(array) for name, array in arrays.items()}),
        json_text({name: _reported_shape(array) for name, array in arrays.items()}),
    )


def _raw_json(outputs: str, shape: str) -> Answer:
    return Answer(encoded(f'{{"outputs": {outputs}, "shape": {shape}}}'), JSON)


def _object(members: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{json_text(name)}: {text}' for name, text in members.items())}}}"


def _as_example(value: Any) -> Array:
    """`value` as an array; a scalar is a vector of one."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidOutput(
            f"The output, a {type(value).__name__}, is not a rectangular array.", why=f"{error}."
        ) from error
    return array if array.ndim else array.reshape(1)


def as_vector(output: Any) -> Any:
    """The vector in a row or a column: hooks may keep a batch axis of one, or the seed's layout."""
    if isinstance(output, Mapping):
        return {name: as_vector(value) for name, value in output.items()}
    shape = getattr(output, "shape", ())
    return output.reshape(-1) if len(shape) == _MATRIX and 1 in shape else output


def _reported_shape(array: Array) -> list[int]:
    """The seed reports a vector of n as [n, 1]."""
    return [len(array), 1] if array.ndim == 1 else list(array.shape)


def _delimited(arrays: Iterable[Array], format_as: str) -> Answer:
    """One line per row of the last axis; text that holds the delimiter is quoted."""
    delimiter, mime_type = _DELIMITED[format_as]
    rows = [row for array in arrays for row in array.reshape(-1, array.shape[-1])]
    lines = [delimiter.join(_quoted(text) for text in cells(row)) for row in rows]
    return Answer(encoded("\n".join(lines)), mime_type)


def _quoted(text: str) -> str:
    if not any(char in text for char in '",\t\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


def _scores_output(args: ClassificationArgs, outputs: Sequence[TensorSpec]) -> str:
    """The name of the output that holds the scores; empty when there is only one output."""
    names = ", ".join(spec.name for spec in outputs)
    if args.output:
        if outputs and args.output not in {spec.name for spec in outputs}:
            raise InvalidInput(
                f"The model has no output {args.output!r}.", hint=f"Its outputs are {names}."
            )
        return args.output
    floats = [spec.name for spec in outputs if spec.dtype.startswith("float")]
    if len(outputs) > 1 and len(floats) != 1:
        raise InvalidInput(
            "The classification formatter cannot tell which output holds the scores.",
            hint=f'Say {{"output": …}} with one of {names}.',
        )
    return floats[0] if floats else ""


def _classification(
    args: ClassificationArgs, labels: Sequence[str], name: str, output: Any, _: bytes
) -> Answer:
    """{"predictions": [{"probability": …, "label": …, "index": …}, …]}, highest first."""
    scores = _scores(output, name)
    best = np.argsort(-scores.astype(np.float64), kind="stable")[: args.num_preds]
    predictions = []
    for index in best.tolist():
        members = {
            "probability": array_json(scores[index, ...]) if args.probability else "",
            "label": json_text(_label(labels, index)) if args.label else "",
            "index": str(index) if args.index else "",
        }
        predictions.append(_object({key: text for key, text in members.items() if text}))
    return Answer(encoded(f'{{"predictions": [{", ".join(predictions)}]}}'), JSON)


def _scores(output: Any, name: str) -> Array:
    if isinstance(output, Mapping) and name not in output:
        raise InvalidOutput(
            f"The predict hook returned the outputs {', '.join(map(str, output))}.",
            why="The classification formatter cannot tell which holds the scores.",
            hint='Name it in the formatter\'s arguments: {"output": …}.',
        )
    scores: Array = as_vector(_as_example(output[name] if isinstance(output, Mapping) else output))
    if scores.ndim != 1 or scores.dtype.kind not in "fiu":
        raise InvalidOutput(
            f"The output is {scores.dtype} of shape {list(scores.shape)}.",
            why="The classification formatter needs one score per class.",
            hint="Use the raw formatter, or write a postprocess hook.",
        )
    return scores


def _label(labels: Sequence[str], index: int) -> str | None:
    return labels[index] if index < len(labels) else None
