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
_FORMAT: _Check = (lambda value: value in TEXT_FORMATS, f"one of {', '.join(TEXT_FORMATS)}")

_ARGUMENTS: dict[str, dict[str, _Check]] = {
    "raw": {"format_as": _FORMAT},
    "classification": {
        "num_preds": _COUNT,
        "probability": _FLAG,
        "label": _FLAG,
        "index": _FLAG,
        "output": _TEXT,
    },
}


def check_args(
    formatter: str, args: Mapping[str, Any], *, has_labels: bool, outputs: Mapping[str, str]
) -> None:
    """Raise InvalidInput for arguments that a model could never be answered with.

    `outputs`: the dtype of each of the model's outputs by its name.
    """
    known = _ARGUMENTS[formatter]
    for name, value in args.items():
        _check_one(formatter, known, name, value)
    if formatter == "classification":
        _check_classification(args, has_labels=has_labels, outputs=outputs)


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


def _check_classification(
    args: Mapping[str, Any], *, has_labels: bool, outputs: Mapping[str, str]
) -> None:
    if args.get("label") and not has_labels:
        raise InvalidInput(
            "The classification formatter cannot show labels: the model has none.",
            hint="Import the model with --labels, or leave label out.",
        )
    if not (args.get("probability", True) or args.get("label") or args.get("index")):
        raise InvalidInput(
            "The classification formatter has nothing to show.",
            hint="Turn on probability, label or index.",
        )
    named, names = args.get("output"), ", ".join(outputs)
    if named and named not in outputs:
        raise InvalidInput(f"The model has no output {named!r}.", hint=f"Its outputs are {names}.")
    floats = [name for name, dtype in outputs.items() if dtype.startswith("float")]
    if not named and len(outputs) > 1 and len(floats) != 1:
        raise InvalidInput(
            "The classification formatter cannot tell which output holds the scores.",
            hint=f'Say {{"output": …}} with one of {names}.',
        )
