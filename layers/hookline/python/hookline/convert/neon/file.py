"""Reads what neon's `Model.save_params` wrote: a pickle, of which only arrays and plain values.

neon (Nervana's framework, 1.3 to 2.6) stores {"model": {"type", "config": {"layers": […]}},
"train_input_shape", "backend", …}; a layer is {"type", "config", "params"}.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy._core import multiarray, numeric  # pickles name these functions

from hookline.core.errors import InvalidModel

_SAVE = "Load it in neon and save it again with model.save_params(path)."


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its class's name, its arguments, its weights, and the layers inside."""

    kind: str
    config: Mapping[str, Any]
    params: Any
    layers: tuple[Layer, ...] = ()


@dataclass(frozen=True, slots=True)
class NeonModel:
    """A network and the shape of one example. `is_caffe`: neon's other rule for pooled sizes."""

    root: Layer
    in_shape: tuple[int, ...]
    version: str
    is_caffe: bool


def read(path: Path) -> NeonModel:
    """The model in the file. Raise InvalidModel, saying what is wrong with it."""
    with path.open("rb") as file:
        stored = _unpickled(file)
    if not isinstance(stored, dict) or not isinstance(stored.get("model"), dict):
        raise InvalidModel(
            "The file holds weights of neon without the network they belong to.",
            why="neon stores both since version 1.3.",
            hint=_SAVE,
        )
    backend = stored.get("backend")
    compat = backend.get("compat_mode") if isinstance(backend, dict) else None
    return NeonModel(
        root=_layer(stored["model"]),
        in_shape=_shape(stored.get("train_input_shape")),
        version=str(stored.get("neon_version", "")),
        is_caffe=compat == "caffe",
    )


def _layer(stored: Any) -> Layer:
    if not isinstance(stored, dict) or not isinstance(stored.get("type"), str):
        raise InvalidModel("A layer of the neon model is not described.", hint=_SAVE)
    config = stored.get("config") or {}
    inner = config.get("layers") if isinstance(config, dict) else None
    return Layer(
        kind=stored["type"].rpartition(".")[2],
        config=config,
        params=stored.get("params"),
        layers=tuple(_layer(each) for each in inner or ()),
    )


def _shape(stored: Any) -> tuple[int, ...]:
    sizes = (stored,) if isinstance(stored, int) else stored
    if not isinstance(sizes, (tuple, list)) or not sizes:
        raise InvalidModel(
            "The neon file does not say what shape the model takes.",
            why="It was saved before the model had been run.",
            hint=_SAVE,
        )
    if not all(isinstance(size, (int, np.integer)) and size > 0 for size in sizes):
        raise InvalidModel(
            "The neon model takes several inputs, which is not converted.",
            hint="Save a model with one input.",
        )
    return tuple(int(size) for size in sizes)


def _latin1(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("It holds text in another encoding.")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,  # how Python 3 writes bytes for Python 2
}
for _module in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_module}.multiarray", "_reconstruct"] = multiarray._reconstruct  # noqa: SLF001 - pickles name it
    _ALLOWED[f"{_module}.multiarray", "scalar"] = multiarray.scalar
    _ALLOWED[f"{_module}.numeric", "_frombuffer"] = numeric._frombuffer  # type: ignore[attr-defined]  # noqa: SLF001 - numpy's stubs leave it out


class _Restricted(pickle.Unpickler):
    """Knows arrays alone: nothing else that a pickle names is found."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise InvalidModel(
                f"The file names {module}.{name}, which is not part of a neon model.",
                why="Only arrays and plain values are read from a pickle; nothing in it runs.",
                hint=_SAVE,
            ) from None

    def persistent_load(self, _pid: Any) -> Any:
        raise pickle.UnpicklingError("It refers to something outside of the file.")


def _unpickled(file: BinaryIO) -> Any:
    try:
        return _Restricted(file, encoding="latin1").load()
    except InvalidModel:
        raise
    except (RecursionError, MemoryError):
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise InvalidModel(
            "The neon file cannot be read.",
            why=f"{type(error).__name__}: {str(error)[:200]}.",
            hint="Copy it again; it must be what model.save_params wrote.",
        ) from error
