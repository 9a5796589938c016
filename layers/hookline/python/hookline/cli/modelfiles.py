"""A model on this machine and the names of its classes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hookline.core.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from hookline.convert.job import Tensor

LABEL_FILES = ("labels.json", "labels.txt")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model file, its format, and what is known of it beside what it says itself."""

    path: Path
    labels: tuple[str, ...] = ()
    format: str = "onnx"
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    conversion: dict[str, Any] | None = None
    variant: dict[str, Any] | None = None


def find_labels(place: str, labels_file: str | None = None) -> tuple[str, ...]:
    """The labels in `labels_file`, else those in the folder `place`; none where there are none."""
    path = Path(place)
    beside = [path / name for name in LABEL_FILES] if path.is_dir() else []
    found = [Path(labels_file)] if labels_file else [name for name in beside if name.is_file()]
    return read_labels(found[0]) if found else ()


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names in their order: a JSON list of strings, or one a line."""
    try:
        text = path.read_text(encoding="utf-8").removeprefix("\ufeff")
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.", hint="Check --labels.") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text.", why=f"{error}.") from error
    if path.suffix != ".json" and not text.lstrip().startswith("["):
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    return _json_labels(path, text)


def _json_labels(path: Path, text: str) -> tuple[str, ...]:
    hint = 'Write a list of strings, as ["cat", "dog"].'
    try:
        labels = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON.", why=f"{error}.", hint=hint) from error
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InvalidInput(f"{path} does not hold a list of strings.", hint=hint)
    return tuple(labels)
