"""The arguments that formatters take, checked where they are given, before any answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hookline.core.errors import InvalidInput

TEXT_FORMATS = ("json", "csv", "tsv")

_Check = tuple[Callable[[Any], bool], str]
_FLAG: _Check = (lambda value: isinstance(value, bool), "true or false")
_COUNT: _Check = (
    lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1,
    "a number from 1 on",
)
_TEXT: _Check = (lambda value: isinstance(value, str), "the name of an output")
_WORD: _Check = (lambda value: isinstance(value, str), "a text")
_INDEX: _Check = (
    lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    "a number from 0 on",
)
_SHARE: _Check = (
    lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    ),
    "a number from 0 to 1",
)
_FORMAT: _Check = (lambda value: value in TEXT_FORMATS, f"one of {', '.join(TEXT_FORMATS)}")

ARGUMENTS: dict[str, dict[str, _Check]] = {
    "raw": {"format_as": _FORMAT},
    "classification": {
        "num_preds": _COUNT,
        "probability": _FLAG,
        "label": _FLAG,
        "index": _FLAG,
        "output": _TEXT,
    },
    "regression": {"label": _FLAG, "output": _TEXT},
    "embedding": {"normalize": _FLAG, "output": _TEXT},
    "tokens": {"end": _INDEX, "label": _FLAG, "separator": _WORD, "output": _TEXT},
    "boxes": {
        "min_score": _SHARE,
        "max_boxes": _COUNT,
        "label": _FLAG,
        "output": _TEXT,
        "scores": _TEXT,
        "indices": _TEXT,
    },
}
_OUTPUTS = ("output", "scores", "indices")  # the arguments that name one


def check_args(
    formatter: str, args: Mapping[str, Any], *, has_labels: bool, outputs: Mapping[str, str]
) -> None:
    """Raise InvalidInput for arguments that a model could never be answered with.

    `outputs`: the dtype of each of the model's outputs by its name.
    """
    known = ARGUMENTS[formatter]
    for name, value in args.items():
        _check_one(formatter, known, name, value)
    if args.get("label") and not has_labels:
        raise InvalidInput(
            f"The {formatter} formatter cannot show labels: the model has none.",
            hint="Import the model with --labels, or leave label out.",
        )
    for name in _OUTPUTS:
        if args.get(name) and args[name] not in outputs:
            raise InvalidInput(
                f"The model has no output {args[name]!r}.",
                hint=f"Its outputs are {', '.join(outputs)}.",
            )
    if formatter == "classification":
        _check_classification(args, outputs=outputs)
    elif formatter != "raw" and not args.get("output") and len(outputs) > 1:
        raise InvalidInput(
            f"The {formatter} formatter cannot tell which output to write.",
            hint=f'Say {{"output": …}} with one of {", ".join(outputs)}.',
        )


def _check_one(formatter: str, known: Mapping[str, _Check], name: str, value: Any) -> None:
    if name not in known:
        raise InvalidInput(
            f"The {formatter} formatter has no argument {name!r}.",
            why=f"Its arguments are {', '.join(known)}.",
        )
    is_valid, allowed = known[name]
    if not is_valid(value):
        raise InvalidInput(
            f"The {formatter} formatter cannot take {name} = {value!r}.", hint=f"Give {allowed}."
        )


def _check_classification(args: Mapping[str, Any], *, outputs: Mapping[str, str]) -> None:
    if not (args.get("probability", True) or args.get("label") or args.get("index")):
        raise InvalidInput(
            "The classification formatter has nothing to show.",
            hint="Turn on probability, label or index.",
        )
    floats = [name for name, dtype in outputs.items() if dtype.startswith("float")]
    if not args.get("output") and len(outputs) > 1 and len(floats) != 1:
        raise InvalidInput(
            "The classification formatter cannot tell which output holds the scores.",
            hint=f'Say {{"output": …}} with one of {", ".join(outputs)}.',
        )
