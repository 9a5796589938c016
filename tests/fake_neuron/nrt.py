"""The Neuron runtime as its documentation describes it, without a device.

Kept are the rules that a program can break: cores belong to one process until it ends, all cores
are taken unless NEURON_RT_VISIBLE_CORES said otherwise before the framework was imported, a model
runs on the architecture it was compiled for, in the shapes it was compiled for.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

Array = np.ndarray[Any, Any]
MACHINE = "fake_machine.json"
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def visible_cores(total: int) -> list[int]:
    """What the environment of this process names; all cores where it says nothing."""
    said = os.environ.get("NEURON_RT_VISIBLE_CORES")
    if said is None:
        return list(range(total))
    found = _RANGE.fullmatch(said)
    if found is None:
        raise RuntimeError(f"NRT: NEURON_RT_VISIBLE_CORES={said} is no range of cores.")
    first, last = int(found[1]), int(found[2] or found[1])
    if not first <= last < total:
        raise RuntimeError(f"NRT: NEURON_RT_VISIBLE_CORES={said}, but there are {total} cores.")
    return list(range(first, last + 1))


class Runtime:
    """The one runtime of a process. It takes its cores when the first model is loaded."""

    def __init__(self, folder: Path) -> None:
        told = json.loads((folder / MACHINE).read_text())
        self.target, self._locks = str(told["target"]), folder / "cores"
        self.cores = visible_cores(int(told["cores"]))  # read as the framework is imported
        self._held: list[IO[str]] = []

    def claim(self) -> None:
        if self._held:
            return
        self._locks.mkdir(exist_ok=True)
        for core in self.cores:
            file = (self._locks / str(core)).open("w")
            self._held.append(file)  # the kernel gives the core back when this process ends
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RuntimeError(
                    f"NRT: init failed: Neuron core {core} is in use by another process."
                ) from None

    def check_model(self, target: str, cores: int) -> None:
        if target != self.target:
            raise RuntimeError(f"NRT: the NEFF is for {target}, this device is {self.target}.")
        if cores > len(self.cores):
            raise RuntimeError(
                f"NRT: the NEFF needs {cores} contiguous cores, {len(self.cores)} are visible."
            )


def check_shapes(
    compiled: Sequence[tuple[tuple[int, ...], str]], given: Sequence[Array], *, is_dynamic: bool
) -> None:
    """Every dimension as compiled; with dynamic batching all but the first."""
    if len(compiled) != len(given):
        raise RuntimeError(f"Expected {len(compiled)} inputs, got {len(given)}.")
    for (shape, dtype), array in zip(compiled, given, strict=True):
        first = 1 if is_dynamic else 0
        if len(shape) != array.ndim or shape[first:] != array.shape[first:]:
            raise RuntimeError(f"Incorrect tensor shape: {array.shape}, compiled for {shape}.")
        if str(array.dtype) != dtype:
            raise RuntimeError(f"Incorrect tensor type: {array.dtype}, compiled for {dtype}.")
    if is_dynamic and len({len(array) for array in given}) != 1:
        raise RuntimeError("Inconsistent batch sizes between the inputs.")
