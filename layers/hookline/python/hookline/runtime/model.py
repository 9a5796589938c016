"""The model that hooks see: what seed hooks call, and named tensors for everything else."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hookline.core.errors import HooklineError, InvalidInput, ModelLoadFailed
from hookline.core.metadata import labels_in
from hookline.runtime.backends.batches import BatchRunner, Example, find_batch_axis
from hookline.runtime.backends.packages import PACKAGES
from hookline.runtime.backends.tensors import Backend, TensorSpec, zeros
from hookline.runtime.beams import best_sequences
from hookline.runtime.decoding import require_decoder
from hookline.runtime.fitting import Array, Form, Shape, Slot, slot_of
from hookline.runtime.generation import MAX_TOKENS, PAST, Decoder, Wish
from hookline.runtime.metadata import filled_up
from hookline.runtime.padding import Padder, padder_of
from hookline.runtime.sizing import worthwhile_items
from hookline.runtime.spec import DecoderName, Padding, PipelineSpec, Preparation, Tensor

log = logging.getLogger(__name__)

_TORCH = ("hookline.runtime.backends.pytorch", "TorchBackend")
_BACKENDS = {
    "onnx": ("hookline.runtime.backends.onnx", "OnnxBackend"),
    "torchscript": _TORCH,
    "pt2": _TORCH,
}
_AS_IS = Preparation()
_TOKEN_SCORES_RANK = 2
Outputs = Any  # an array, or a dict of arrays by name where the model has several outputs


@dataclass(frozen=True, slots=True)
class Layers:
    """`in_shape`: one example of the first input, (C, H, W) for images of either layout."""

    in_shape: Shape


class Model:
    """A loaded model.

    `inputs` and `outputs` have `name`, `dtype` and `shape`, batch axis included. `labels` may be
    empty. `preparation` says how canned image input becomes a tensor, `decoder` what reads JPEGs.
    """

    def __init__(
        self,
        backend: Backend,
        labels: Sequence[str] = (),
        preparation: Preparation = _AS_IS,
        decoder: DecoderName = "pillow",
        padding: Padding | None = None,
    ) -> None:
        axis = find_batch_axis(backend)
        self._backend = backend
        self._runner = BatchRunner(backend, axis)
        self.batch_axis = axis
        self.slots = {
            spec.name: slot_of(
                spec, has_batch_axis=spec.name in axis.inputs, layout=preparation.layout
            )
            for spec in backend.inputs
        }
        self.inputs: tuple[TensorSpec, ...] = tuple(backend.inputs)
        self.outputs: tuple[TensorSpec, ...] = tuple(backend.outputs)
        self.labels = tuple(labels)
        self.preparation, self.decoder = preparation, decoder
        self.padder: Padder | None = (
            padder_of(padding, self.inputs, axis, self.slots, self._runner.run) if padding else None
        )
        self.layers = Layers(self.first.in_shape if self.slots else ())

    @classmethod
    def load(cls, spec: PipelineSpec) -> Model:
        """Load the model file of `spec`. Raise ModelLoadFailed, saying why."""
        require_decoder(spec.decoder)
        backend = _loaded(spec)
        labels = spec.labels or labels_in(backend.metadata)
        preparation = filled_up(spec.preparation, backend.metadata)
        return cls(backend, labels, preparation, spec.decoder, spec.padding)

    @property
    def first(self) -> Slot:
        """The first input, which images and other single tensors fill."""
        return next(iter(self.slots.values()))

    def fprop(self, data: Any) -> Outputs:
        """The outputs for one example, a batch, or columns (features × batch) of the first input.

        The answer has the form of the question: without batch axis, with one, or in columns. A
        model with several outputs gives a dict; one with several inputs takes a dict.
        """
        feeds = data if isinstance(data, Mapping) else self._only_input(data)
        outputs, form = self._forward(feeds)
        if form == "columns":
            outputs = {name: value.reshape(len(value), -1).T for name, value in outputs.items()}
        return _unwrapped(outputs)

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Array]:
        """The outputs by name. Inputs without a batch axis give outputs without one."""
        return self._forward(feeds)[0]

    def get_outputs_beam(self, data: Any, num_beams: int = 2) -> Array:
        """The likeliest token sequences, for models whose output is token scores [N, T, V].

        Returns int64 [N, num_beams, T], best first, or [num_beams, T] for a single example. A model
        that is fed its own past continues `data`, the tokens so far, as `generate` does.
        """
        if any(spec.name.startswith(PAST) for spec in self.inputs):
            found = self.generate(data, num_beams=num_beams)
            return found[None] if np.ndim(data) > 1 else found
        feeds = data if isinstance(data, Mapping) else self._only_input(data)
        outputs, form = self._forward(feeds)
        scores = next(iter(outputs.values()))
        is_one = form == "example"
        if scores.ndim - (not is_one) != _TOKEN_SCORES_RANK or scores.dtype.kind != "f":
            raise InvalidInput(
                f"The model's output {self.outputs[0].name} has the shape {list(scores.shape)}.",
                why="Beam search needs the scores of each token at each step: [N, T, V].",
                hint="Use model.fprop for models that do not generate tokens.",
            )
        if is_one:
            return best_sequences(scores, num_beams)
        return np.stack([best_sequences(one, num_beams) for one in scores])

    def generate(
        self,
        tokens: Any,
        *,
        max_tokens: int = MAX_TOKENS,
        num_beams: int = 1,
        end: int | None = None,
    ) -> Array:
        """What a model of tokens continues `tokens` with, numbers [T]: int64 [num_beams, steps].

        Best first, without `tokens`. Shorter sequences are filled up with `end`, the token that
        ends one; unless given it is the eos_token_id of the model's metadata, if that has one.
        """
        noted = self._backend.metadata.get("eos_token_id", "")
        end = int(noted) if end is None and noted.isdigit() else end
        prompt = np.asarray(tokens)
        if prompt.dtype.kind not in "iu" or not prompt.size or prompt.shape[-1:] != (prompt.size,):
            raise InvalidInput(
                f"The tokens to continue are {prompt.dtype} of shape {list(prompt.shape)}.",
                hint="Give whole numbers, at least one, of one sequence: [5, 2, 7].",
            )
        wish = Wish(max_tokens=max_tokens, num_beams=num_beams, end=end)
        return Decoder(self._backend).generate(prompt.ravel(), wish)

    def fit(self, data: Any) -> dict[str, Array]:
        """What a preprocess hook returned, as one example. Raise InvalidInput if it is not."""
        if type(data) is np.ndarray and len(self.slots) == 1:  # nearly always
            return {name: slot.fit(data) for name, slot in self.slots.items()}
        feeds = data if isinstance(data, Mapping) else self._only_input(data)
        self._check_names(feeds)
        return {name: slot.fit(feeds[name]) for name, slot in self.slots.items()}

    def named(self, outputs: Outputs) -> dict[str, Array]:
        """What `predict_batch` gave for one example, by name also where there is one output."""
        return outputs if isinstance(outputs, dict) else {self.outputs[0].name: outputs}

    def predict_batch(self, examples: Sequence[Example]) -> list[Outputs]:
        """One output per fitted example, all of the same shapes."""
        return [_unwrapped(output) for output in self._runner.run(examples)]

    def warm_up(self) -> None:
        """Run zeros once; a model that cannot take a smallest example stays cold.

        With buckets, run an example of each.
        """
        if self.padder:
            for example in self.padder.warm_ups():
                self._runner.run([example])
            return
        try:
            self._backend.run({spec.name: zeros(spec, 1) for spec in self.inputs})
        except HooklineError as error:
            log.info("warm_up_skipped", extra={"reason": str(error)})

    def worthwhile_items(self, max_items: int) -> int:
        """The batch beyond which this model gains nothing; runs zeros, and so warms up."""
        fixed = self._runner.examples
        if fixed:
            return min(fixed, max_items)
        example: Example = {spec.name: zeros(spec, 1)[0, ...] for spec in self.inputs}
        if self.padder:
            example = self.padder.warm_ups()[-1]
        try:
            return worthwhile_items(lambda count: self._runner.run([example] * count), max_items)
        except HooklineError as error:
            log.info("calibration_skipped", extra={"reason": str(error)})
            return max_items

    def _forward(self, feeds: Mapping[str, Any]) -> tuple[dict[str, Array], Form]:
        self._check_names(feeds)
        found = {name: slot.examples(slot.cast(feeds[name])) for name, slot in self.slots.items()}
        counts = {len(examples) for examples, _ in found.values()}
        if len(counts) != 1:
            raise InvalidInput(f"The inputs hold different numbers of examples: {sorted(counts)}.")
        rows = [
            {name: examples[row] for name, (examples, _) in found.items()}
            for row in range(counts.pop())
        ]
        outputs = self._runner.run(rows)
        forms = {form for _, form in found.values()}
        if forms == {"example"}:
            return outputs[0], "example"
        stacked = {
            spec.name: np.stack([output[spec.name] for output in outputs]) if outputs else _none()
            for spec in self.outputs
        }
        return stacked, "columns" if forms == {"columns"} else "batch"

    def _only_input(self, data: Any) -> dict[str, Any]:
        if len(self.slots) != 1:
            raise InvalidInput(
                f"The model takes {len(self.slots)} inputs, and one array was given.",
                hint=f"Give an object keyed by name: {', '.join(self.slots)}.",
            )
        return {self.first.name: data}

    def _check_names(self, feeds: Mapping[str, Any]) -> None:
        if feeds.keys() == self.slots.keys():
            return
        missing = ", ".join(name for name in self.slots if name not in feeds) or "nothing"
        unknown = ", ".join(str(name)[:100] for name in feeds if name not in self.slots)
        raise InvalidInput(
            "The inputs do not match the model.",
            why=f"Missing: {missing}. Unknown: {unknown or 'nothing'}.",
            hint=f"The model takes {', '.join(self.slots)}.",
        )


def _loaded(spec: PipelineSpec) -> Backend:
    """The model on the backend of its format, whose framework may be in a folder of its own."""
    if spec.format == "neuron":
        return _on_neuron(spec)
    module, kind = _BACKENDS[spec.format]
    told: dict[str, Any] = {"threads": spec.threads, "gpus": spec.gpus}
    if spec.format in PACKAGES:
        sys.path[:0] = [folder for folder in spec.site_dirs if folder not in sys.path]
        told |= {"kind": spec.format, "inputs": _specs(spec.inputs)}
        told |= {"outputs": _specs(spec.outputs)}
    try:
        found = getattr(importlib.import_module(module), kind)
    except ImportError as error:
        raise ModelLoadFailed(
            f"What runs {spec.format} models is missing.",
            why=f"{error}.",
            hint="Install torch beside hookline, or use a machine that may install it.",
        ) from error
    backend: Backend = found.load(spec.model_path, **told)
    return backend


def _on_neuron(spec: PipelineSpec) -> Backend:
    from hookline.runtime.backends.neuron import NeuronBackend  # noqa: PLC0415 - on few machines

    home = Path(spec.neuron_home)
    return NeuronBackend.load(spec.model_path, device=spec.device, cores=spec.visible, home=home)


def _specs(tensors: Sequence[Tensor]) -> list[TensorSpec]:
    return [TensorSpec(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors]


def _unwrapped(outputs: dict[str, Array]) -> Outputs:
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def _none() -> Array:
    return np.empty((0,))
