"""What a stream takes and gives, in tensors: its own, or files in and answers out."""

from __future__ import annotations

from dataclasses import dataclass

from hookline.runtime.backends.tensors import STRING, TensorSpec
from hookline.runtime.model import Model

ONNX, HOOKS = "onnx_onnxv1", "hookline_hooks"

FILES = TensorSpec("input", STRING, (-1, 1))
BODIES = TensorSpec("output", STRING, (-1, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """`inputs` and `outputs` have the axis of rows where they are named in `row_wise`.

    `takes_files`: the one input is text whose elements are whole files, as they would be posted.
    `gives_bodies`: the one output is text whose elements are whole answers.
    """

    inputs: tuple[TensorSpec, ...] = (FILES,)
    outputs: tuple[TensorSpec, ...] = (BODIES,)
    row_wise: frozenset[str] = frozenset({FILES.name, BODIES.name})
    takes_files: bool = True
    gives_bodies: bool = True
    labels: tuple[str, ...] = ()
    platform: str = HOOKS

    @property
    def has_rows(self) -> bool:
        """Whether a request may have several rows."""
        return all(spec.name in self.row_wise for spec in (*self.inputs, *self.outputs))


def signature_of(model: Model | None, *, reads_files: bool, writes_bodies: bool) -> Signature:
    """`model` is the one that predicts, None where a hook does.

    `reads_files`: a hook preprocesses; `writes_bodies`: a hook postprocesses.
    """
    if model is None or writes_bodies:
        return Signature(labels=model.labels if model else ())
    axis = model.batch_axis
    row_wise = axis.inputs | axis.outputs
    inputs = (FILES,) if reads_files else tuple(_shown(one, axis.inputs) for one in model.inputs)
    return Signature(
        inputs=inputs,
        outputs=tuple(_shown(one, axis.outputs) for one in model.outputs),
        row_wise=row_wise | {FILES.name} if reads_files else row_wise,
        takes_files=reads_files,
        gives_bodies=False,
        labels=model.labels,
        platform=ONNX,
    )


def _shown(spec: TensorSpec, row_wise: frozenset[str]) -> TensorSpec:
    """A fixed batch is none to callers: any number of rows is cut to it, or filled up."""
    shape = (-1, *spec.shape[1:]) if spec.name in row_wise else spec.shape
    return TensorSpec(spec.name, spec.dtype, shape)
