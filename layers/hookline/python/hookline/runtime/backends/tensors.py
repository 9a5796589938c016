"""What a backend is to the rest of the runtime: named tensors in, named tensors out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

STRING = "string"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output, batch axis included. A variable dimension is -1.

    `dtype` is numpy's name, or string. `axes` names the variable dimensions, "" for none;
    it is empty where nothing is known.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    axes: tuple[str, ...] = ()

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        return np.dtype(object if self.dtype == STRING else self.dtype)

    def axis_name(self, at: int) -> str:
        """What the model's file calls its dimension `at`; "" where it says nothing."""
        return self.axes[at] if at < len(self.axes) else ""


class Backend(Protocol):
    """A loaded model: runs exactly the arrays it is given, knows nothing of items."""

    @property
    def inputs(self) -> Sequence[TensorSpec]: ...

    @property
    def outputs(self) -> Sequence[TensorSpec]: ...

    @property
    def metadata(self) -> Mapping[str, str]: ...

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """The outputs in the order of `outputs`. Raise InvalidInput when the model refuses."""
        ...


def zeros(spec: TensorSpec, first: int) -> np.ndarray[Any, Any]:
    """A tensor of nothing for `spec`: its first axis `first` long if variable, the others 1."""
    shape = [1 if size < 0 else size for size in spec.shape]
    if spec.shape and spec.shape[0] < 0:
        shape[0] = first
    return np.full(shape, "" if spec.dtype == STRING else 0, spec.numpy_dtype)
