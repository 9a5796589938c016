"""Makes an ONNX file of a TensorFlow SavedModel, a frozen graph or a Keras model, with tf2onnx.

It runs in an environment that holds TensorFlow, tf2onnx and numpy, and nothing of hookline's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the CPU converts as well, and leaves GPUs to replicas

import numpy as np
import tensorflow as tf
import tf2onnx

from hookline.convert.cases import Array, record
from hookline.convert.job import Job, Result, Tensor
from hookline.core.errors import InvalidModel

FILE = "model.onnx"
_OPSET = 17
_SIGNATURE = "serving_default"
_NOT_COMPUTED = ("Const", "NoOp", "Placeholder", "Assert")


def run(job: Job) -> Result:
    """Write the model into the job's folder, and what the original answers."""
    makers = {"savedmodel": _saved_model, "graphdef": _frozen, "keras": _keras, "hdf5": _keras}
    function, inputs, names = makers[job.details["kind"]](job)
    record(job, inputs, function)
    return Result(
        file=FILE,
        inputs=tuple(inputs),
        tool=f"tensorflow {tf.__version__}, tf2onnx {tf2onnx.__version__}, {len(names)} outputs",
    )


Made = tuple[Callable[[list[Array]], list[Array]], list[Tensor], Sequence[str]]


def _keras(job: Job) -> Made:
    """Keras writes a SavedModel itself; code inside the file (lambdas) is not run."""
    import keras  # noqa: PLC0415 - comes with TensorFlow, and takes a while

    model = keras.models.load_model(_with_suffix(job), compile=False, safe_mode=True)
    exported = Path(job.folder) / "exported"
    model.export(exported, verbose=False)
    return _signature(job, tf.saved_model.load(str(exported)))


def _with_suffix(job: Job) -> Path:
    """Keras believes names: the file under one that says what it is."""
    suffix = ".keras" if job.details["kind"] == "keras" else ".h5"
    named = Path(job.folder) / f"source{suffix}"
    named.symlink_to(job.source)
    return named


def _saved_model(job: Job) -> Made:
    return _signature(job, tf.saved_model.load(job.source))


def _signature(job: Job, loaded: Any) -> Made:
    found = dict(loaded.signatures)
    if not found:
        raise InvalidModel(
            "The SavedModel has no signature that could be served.",
            hint="Save it with tf.saved_model.save(model, path, signatures=…).",
        )
    concrete = found.get(_SIGNATURE) or next(iter(found.values()))
    specs = concrete.structured_input_signature[1]
    names = sorted(concrete.structured_outputs)
    inputs = [_tensor(name, spec) for name, spec in specs.items()]

    def call(given: list[Array]) -> list[Array]:
        feeds = {name: tf.constant(value) for name, value in zip(specs, given, strict=True)}
        answers = concrete(**feeds)
        return [answers[name].numpy() for name in names]

    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]  # it has no types
    def in_order(*given: Any) -> list[Any]:
        answers = concrete(**dict(zip(specs, given, strict=True)))
        return [tf.identity(answers[name], name=name) for name in names]

    tf2onnx.convert.from_function(
        in_order,
        input_signature=signature,
        opset=_OPSET,
        output_path=str(Path(job.folder) / FILE),
    )
    return call, inputs, names


def _frozen(job: Job) -> Made:
    graph_def = tf.compat.v1.GraphDef()
    graph_def.ParseFromString(Path(job.source).read_bytes())
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    used = {name.lstrip("^").partition(":")[0] for node in graph_def.node for name in node.input}
    starts = [node.name for node in graph_def.node if node.op == "Placeholder"]
    ends = [n.name for n in graph_def.node if n.name not in used and n.op not in _NOT_COMPUTED]
    if not starts or not ends:
        raise InvalidModel(
            "The graph has no placeholder to fill, or nothing that it computes.",
            hint="Freeze it with its inputs and outputs, or give the SavedModel.",
        )
    starts, ends = [f"{name}:0" for name in starts], [f"{name}:0" for name in ends]
    inputs = [_tensor(name.removesuffix(":0"), graph.get_tensor_by_name(name)) for name in starts]

    def call(given: list[Array]) -> list[Array]:
        with tf.compat.v1.Session(graph=graph) as session:
            answers = session.run(ends, dict(zip(starts, given, strict=True)))
        return [np.asarray(answer) for answer in answers]

    tf2onnx.convert.from_graph_def(
        graph_def,
        input_names=starts,
        output_names=ends,
        opset=_OPSET,
        output_path=str(Path(job.folder) / FILE),
    )
    return call, inputs, ends


def _tensor(name: str, spec: Any) -> Tensor:
    if spec.shape.rank is None:
        raise InvalidModel(
            f"The input {name} has no known number of axes.",
            hint="Save the model with an input signature that says its shape.",
        )
    shape = tuple(-1 if size is None else int(size) for size in spec.shape)
    return Tensor(name, spec.dtype.name, shape)
