"""Holds a group of NeuronCores and runs one compiled model on them, for one replica.

It runs in the environment of AWS's SDK, on Python 3.10 for Inf1: torch, numpy, and of hookline only
what imports nothing else. NEURON_RT_VISIBLE_CORES was set before this process began, since the
runtime reads it as it is loaded; the cores are this process's until it ends.
"""

from __future__ import annotations

import importlib
import io
import socket
import zipfile
from typing import Any

import numpy as np

from hookline.core.errors import HooklineError, ModelLoadFailed
from hookline.runtime.neuron import artifact, wire
from hookline.runtime.neuron.artifact import Manifest
from hookline.runtime.neuron.wire import Array

FRAMEWORKS = {"inf1": "torch_neuron", "inf2": "torch_neuronx"}
EXIT_DONE, EXIT_LOAD_FAILED = 0, 3
_MAX_WHY = 500


def serve(descriptor: int, path: str) -> int:
    """Load the model at `path`, then answer on the socket until the replica hangs up."""
    with socket.socket(fileno=descriptor) as sock:
        sock.set_inheritable(False)
        try:
            models = load(path)
        except HooklineError as error:
            wire.send(sock, {"what": error.what, "why": error.why, "hint": error.hint})
            return EXIT_LOAD_FAILED
        try:
            wire.send(sock, {})
            while True:
                told, feeds = wire.receive(sock)
                _answer(sock, models[told["bucket"]], feeds)
        except wire.Closed:
            return EXIT_DONE


def load(path: str) -> list[Any]:
    """The model of each bucket, on this process's cores. Raise ModelLoadFailed, saying why."""
    manifest = artifact.read(path)
    try:
        torch = importlib.import_module("torch")
        # Its import registers the operator that compiled models consist of.
        framework = importlib.import_module(FRAMEWORKS[manifest.target])
        with zipfile.ZipFile(path) as archive:
            return [
                _placed(torch.jit.load(io.BytesIO(archive.read(bucket.file))), framework, manifest)
                for bucket in manifest.buckets
            ]
    except Exception as error:  # the runtime raises whatever it meets
        raise ModelLoadFailed(
            f"The Neuron runtime cannot load the model, which was compiled for {manifest.target}.",
            why=_why(error),
            hint="Look at the device with `neuron-ls`, and whether other processes hold its cores.",
        ) from error


def _placed(model: Any, framework: Any, manifest: Manifest) -> Any:
    """On one core, over several as a pipeline, or once on each of several."""
    if manifest.copies == 1:
        return model
    spread = framework.DataParallel(model)
    if not manifest.is_dynamic:
        spread.disable_dynamic_batching()
    return spread


def _answer(sock: socket.socket, model: Any, feeds: list[Array]) -> None:
    try:
        outputs = run(model, feeds)
    except Exception as error:  # noqa: BLE001 - the edge around a model: one bad input ends nothing
        wire.send(sock, {"error": _why(error)})
        return
    wire.send(sock, {}, outputs)


def run(model: Any, feeds: list[Array]) -> list[Array]:
    """The outputs in their order."""
    torch = importlib.import_module("torch")
    with torch.no_grad():
        answer = model(*[torch.from_numpy(feed) for feed in feeds])
    return [_array(value) for value in flat(answer)]


def flat(answer: Any) -> list[Any]:
    """The tensors of an answer: one, several, or a dict of them."""
    if isinstance(answer, dict):
        return list(answer.values())
    return list(answer) if isinstance(answer, (tuple, list)) else [answer]


def _array(value: Any) -> Array:
    torch = importlib.import_module("torch")
    found = value.detach()
    if found.dtype == torch.bfloat16:  # numpy has no such type
        found = found.float()
    array: Array = np.ascontiguousarray(found.cpu().numpy())
    return array


def _why(error: Exception) -> str:
    """The last line that says something: torch puts a stack of its own above it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:_MAX_WHY]
