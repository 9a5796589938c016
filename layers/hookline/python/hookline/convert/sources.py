"""Finds the model at a place: a file, or a folder that holds one and perhaps other things."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hookline.convert.refusals import refusal
from hookline.core.errors import InvalidModel, NotFound
from hookline.core.formats import Kind, kind_of

MAX_FILES = 1000  # of a folder, looked at
_CHUNK_BYTES = 1 << 20
_SAVED_MODEL = "saved_model.pb"
_SYMBOL, _PARAMS = "-symbol.json", ".params"


@dataclass(frozen=True, slots=True)
class Source:
    """A model as its author left it. `path` is the file or folder; `beside` what belongs to it."""

    kind: Kind
    path: Path
    beside: tuple[Path, ...] = ()
    is_split: bool = False  # also where what belongs to it is missing

    @property
    def shown(self) -> tuple[Path, ...]:
        """What a process must see to read all of it."""
        return (self.path.resolve(), *self.beside)

    def digest(self) -> str:
        """SHA-256 of everything that is read."""
        found = hashlib.sha256(self.kind.encode())
        for name, path in self._files():
            found.update(f"{name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    found.update(chunk)
        return found.hexdigest()

    def _files(self) -> list[tuple[str, Path]]:
        """Each file, and what it is called within the model."""
        if not self.path.is_dir():
            return [(path.name, path) for path in self.shown]
        found = sorted(path for path in self.path.rglob("*") if path.is_file())
        return [(str(path.relative_to(self.path)), path) for path in found]


def find_source(place: Path) -> Source:
    """The model at `place`. Raise NotFound, or InvalidModel with what to do."""
    if place.is_dir():
        return _in_folder(place)
    if not place.is_file():
        raise NotFound(f"There is no file or folder {place}.", hint="Check the path of the model.")
    return _of_file(place, _kind(place))


def holds_model(folder: Path) -> bool:
    """Whether there is something in `folder` that is a model, of whatever kind."""
    return (folder / _SAVED_MODEL).is_file() or next(_models(folder), None) is not None


def _kind(path: Path) -> Kind:
    with path.open("rb") as file:
        return kind_of(file)


def _of_file(path: Path, kind: Kind) -> Source:
    refused = refusal(kind, str(path))
    if refused:
        raise refused
    if kind == "savedmodel":
        if path.name != _SAVED_MODEL:
            raise InvalidModel(
                f"{path} is a TensorFlow SavedModel without its folder.",
                why=f"Its weights lie beside a file called {_SAVED_MODEL}.",
                hint="Import the folder that it was saved into.",
            )
        return Source(kind, path.parent)
    if kind == "mxnet-symbol":
        return _network(path)
    if kind == "mxnet-params":
        symbol = path.with_name(path.name.removesuffix(_PARAMS).rpartition("-")[0] + _SYMBOL)
        if not symbol.is_file():
            raise InvalidModel(
                f"{path} holds an MXNet model's weights without its network.",
                why=f"There is no {symbol.name} beside it.",
                hint="Put both files into one folder, as save_checkpoint and export wrote them.",
            )
        return _network(symbol)
    return _onnx(path) if kind == "onnx" else Source(kind, path)


def _onnx(path: Path) -> Source:
    """The weights of an ONNX file may lie beside it, in files that it names."""
    from hookline.core.onnxfile import weight_files  # noqa: PLC0415 - only where it is asked

    with path.open("rb") as file:
        names = weight_files(file)
    there = {one.name: one for one in path.resolve().parent.iterdir()} if names else {}
    found = sorted(there[name] for name in names & there.keys())
    kept = [one for one in found if one.is_file() and not one.is_symlink()]
    return Source("onnx", path, tuple(kept), is_split=bool(names))


def _network(symbol: Path) -> Source:
    """An MXNet network and the files of its parameters."""
    prefix = symbol.name.removesuffix(_SYMBOL)
    found = sorted(symbol.resolve().parent.glob(f"{glob.escape(prefix)}-*{_PARAMS}"))
    if not found:
        raise InvalidModel(
            f"{symbol} is an MXNet network without its weights.",
            why=f"There is no {prefix}-0000{_PARAMS} beside it.",
            hint="Put both files into one folder, as save_checkpoint and export wrote them.",
        )
    return Source("mxnet-symbol", symbol, tuple(found))


def _in_folder(folder: Path) -> Source:
    if (folder / _SAVED_MODEL).is_file():
        return Source("savedmodel", folder)
    if folder.suffix == ".mlpackage" or (folder / "Data" / "com.apple.CoreML").is_dir():
        raise refusal("coreml", str(folder)) or InvalidModel(f"{folder} is a Core ML model.")
    found = list(_models(folder))
    if len(found) == 1:
        return _of_file(*found[0])
    for path, kind in [] if found else _kinds(folder):
        refused = refusal(kind, str(path)) if kind not in ("empty", "unknown") else None
        if refused:
            raise refused
    names = ", ".join(path.name for path, _ in found) or "none"
    raise InvalidModel(
        f"{folder} should hold one model; it holds {names}.", hint="Name the file itself."
    )


def _kinds(folder: Path) -> list[tuple[Path, Kind]]:
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    return [(path, _kind(path)) for path in paths[:MAX_FILES]]


def _models(folder: Path) -> Iterator[tuple[Path, Kind]]:
    """The files that can be imported, an MXNet model's two counted as one."""
    kinds = _kinds(folder)
    symbols = [path for path, kind in kinds if kind == "mxnet-symbol"]
    for path, kind in kinds:
        is_pair = kind == "mxnet-params" and _belongs(path, symbols)
        if refusal(kind, path.name) is None and not is_pair:
            yield path, kind


def _belongs(params: Path, symbols: Sequence[Path]) -> bool:
    return any(params.name.startswith(f"{s.name.removesuffix(_SYMBOL)}-") for s in symbols)
