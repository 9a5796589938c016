"""Find a model and its labels on this machine, and refuse early what cannot be one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hookline.core.errors import InvalidInput, InvalidModel, NotFound

LABEL_FILES = ("labels.json", "labels.txt")
LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model file and the names of its classes."""

    path: Path
    labels: tuple[str, ...] = ()


def find_model(place: str, labels_file: str | None = None) -> ModelFiles:
    """The model at `place`: a file, or a folder with one .onnx file and perhaps its labels."""
    path = Path(place)
    model = _only_model(path) if path.is_dir() else path
    _check(model)
    beside = [path / name for name in LABEL_FILES] if path.is_dir() else []
    found = [Path(labels_file)] if labels_file else [name for name in beside if name.is_file()]
    return ModelFiles(model, read_labels(found[0]) if found else ())


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


def _only_model(folder: Path) -> Path:
    found = sorted(folder.glob("*.onnx"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InvalidModel(
            f"{folder} should hold one .onnx file; it holds {names}.", hint="Name the file itself."
        )
    return found[0]


def _check(path: Path) -> None:
    if not path.is_file():
        raise NotFound(f"There is no file or folder {path}.", hint="Check the path of the model.")
    with path.open("rb") as file:
        start = file.read(len(LFS_POINTER))
    if not start:
        raise InvalidModel(f"{path} is empty.", hint="Export or download the model again.")
    if start == LFS_POINTER:
        raise InvalidModel(
            f"{path} is a Git LFS pointer, not the model.", hint="Fetch it with `git lfs pull`."
        )
