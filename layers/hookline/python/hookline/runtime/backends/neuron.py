"""Run compiled models on NeuronCores: torch_neuron on Inf1, torch_neuronx on Inf2.

AWS's SDK needs a Python and packages of its own, so a child process holds the cores and the model;
this side fits the examples into the shapes that were compiled. The child ends with the socket.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hookline.core.errors import InvalidInput, ModelLoadFailed, Unavailable
from hookline.runtime.neuron import artifact, environment, wire
from hookline.runtime.neuron.buckets import Buckets
from hookline.runtime.neuron.environment import Environment

log = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]
VISIBLE_CORES = "NEURON_RT_VISIBLE_CORES"
LOAD_TIMEOUT_S, RUN_TIMEOUT_S = 300.0, 60.0
_EMPTY: Mapping[str, str] = {}


@dataclass(slots=True)
class _Child:
    pid: int
    sock: socket.socket

    def end(self) -> None:
        """At once: the driver takes the cores back, whatever the process was doing."""
        self.sock.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class NeuronBackend:
    """A compiled model on the cores of one group."""

    def __init__(self, path: str, cores: str, place: Environment) -> None:
        manifest = artifact.read(path)
        self._path, self._cores, self._place = path, cores, place
        self._buckets = Buckets(manifest)
        self._child: _Child | None = None
        self.inputs, self.outputs = self._buckets.inputs, self._buckets.outputs
        self.metadata = _EMPTY
        self.on_cpu = dict(manifest.on_cpu)

    @classmethod
    def load(
        cls, path: str, *, device: str, cores: str, home: Path = environment.HOME
    ) -> NeuronBackend:
        """Load the model at `path` on `cores`, as NEURON_RT_VISIBLE_CORES writes them.

        Raise ModelLoadFailed, saying why, Unavailable where AWS's SDK is missing.
        """
        manifest = artifact.read(path)
        if manifest.target != device:
            raise ModelLoadFailed(
                f"The model was compiled for {manifest.target} and cannot run on {device}.",
                hint=f"Deploy it with --device {manifest.target}, or compile it for {device}.",
            )
        backend = cls(path, cores, environment.find(home))
        backend.start()
        if manifest.on_cpu:
            log.warning("operators_on_cpu", extra={"operators": dict(manifest.on_cpu)})
        return backend

    def start(self) -> None:
        """Start the child, which takes the cores. Raise ModelLoadFailed where it cannot."""
        self._child = child = _spawned(self._path, self._cores, self._place)
        try:
            told, _ = wire.receive(child.sock, LOAD_TIMEOUT_S)
        except wire.Closed as error:
            self.close()
            raise ModelLoadFailed(
                "The process that holds the NeuronCores ended while it loaded the model.",
                why=str(error),
                hint="Its last words are in the log.",
            ) from error
        if "what" in told:
            self.close()
            raise ModelLoadFailed(told["what"], why=told["why"], hint=told["hint"])

    def close(self) -> None:
        """Give the cores back."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        given = [np.asarray(feeds[spec.name], spec.numpy_dtype) for spec in self.inputs]
        parts = []
        for run in self._buckets.runs(given):
            outputs = self._exchanged(run.number, run.feeds)
            parts.append(self._buckets.sliced(run, outputs, given))
        if not parts:
            raise InvalidInput("There is no example to run.", hint="Send at least one.")
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(columns) for columns in zip(*parts, strict=True)]

    def _exchanged(self, number: int, feeds: Sequence[Array]) -> list[Array]:
        if self._child is None:
            self.start()
        child = self._child
        assert child is not None  # noqa: S101 - start raises otherwise
        try:
            wire.send(child.sock, {"bucket": number}, feeds)
            told, outputs = wire.receive(child.sock, RUN_TIMEOUT_S)
        except wire.Closed as error:
            self.close()
            raise Unavailable(
                "The process that holds the NeuronCores has ended.",
                why=str(error),
                hint="It is started again with the next request; its last words are in the log.",
            ) from error
        if "error" in told:
            raise InvalidInput("The model failed on this input.", why=str(told["error"]))
        return outputs


def _spawned(path: str, cores: str, place: Environment) -> _Child:
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    start = Path(__file__).parents[1] / "neuron" / "start.py"
    package = Path(__file__).parents[3]
    command = [str(place.python), "-I", "-S", str(start), str(place.site), str(package)]
    kept = {
        name: os.environ[name] for name in ("LANG", "TZ", "HOME", "TMPDIR") if name in os.environ
    }
    settings = kept | {
        VISIBLE_CORES: cores,
        "NEURON_RT_LOG_LOCATION": "console",
        "PATH": f"{place.programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    with theirs:
        try:
            pid = os.posix_spawn(command[0], [*command, str(theirs.fileno()), path], settings)
        except OSError as error:
            ours.close()
            raise ModelLoadFailed(
                f"{place.python} cannot be started.", why=f"{error.strerror}."
            ) from error
    return _Child(pid, ours)
