"""ONNX models made TorchScript, held to onnxruntime: what compilers for Inferentia are given."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hookline.adapters.machine.environments import install
from hookline.convert.isolation import Bench
from hookline.convert.job import Tensor
from hookline.convert.neuron_compile import Compiler, Source, Wanted
from hookline.convert.onnxoperators import KNOWN
from hookline.convert.routes import ONNX_TO_TORCH
from hookline.convert.torchscript import Script, as_torchscript
from hookline.core.errors import HooklineError
from hookline.runtime.backends.neuron import NeuronBackend
from hookline.runtime.backends.onnx import OnnxBackend
from tests.e2e.cloud import DIGITS

pytestmark = [pytest.mark.formats, pytest.mark.timeout(3600)]

Array = np.ndarray[Any, Any]
Shape = Sequence[int | str]
RNG = np.random.default_rng(5)
OPSET = 20  # Gelu; 17 has LayerNormalization
IMAGE: Shape = ("N", 3, 9, 9)
ROWS: Shape = ("N", 4)


def weights(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def chain(start: str, *kinds: tuple[str, dict[str, Any]] | str) -> list[onnx.NodeProto]:
    """Nodes of one input each, one after the other; the last answers y."""
    names = [start, *(f"v{index}" for index in range(1, len(kinds))), "y"]
    told = [(each, {}) if isinstance(each, str) else each for each in kinds]
    return [
        node(kind, names[at], names[at + 1], **attributes)
        for at, (kind, attributes) in enumerate(told)
    ]


# Nodes, the shape of x, and constants.
GRAPHS: dict[str, tuple[list[onnx.NodeProto], Shape, Mapping[str, Array]]] = {
    "convolutions": (
        [
            node("Conv", "x w b", "a", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("BatchNormalization", "a s t m v", "c"),
            node("Relu", "c", "d"),
            node("Conv", "d w2", "e", pads=[0, 1, 1, 0], group=4, dilations=[1, 1]),
            node("LeakyRelu", "e", "f", alpha=0.2),
            node("MaxPool", "f", "g", kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
            node("AveragePool", "g", "h", kernel_shape=[2, 2], pads=[1, 1, 1, 1]),
            node("InstanceNormalization", "h s t", "i"),
            node("ConvTranspose", "i w3", "j", strides=[2, 2]),
            node("GlobalAveragePool", "j", "k"),
            node("Flatten", "k", "l"),
            node("Gemm", "l w4 b4", "n", transB=1, alpha=0.5),
            node("Softmax", "n", "y"),
        ],
        IMAGE,
        {
            "w": weights(4, 3, 3, 3),
            "b": weights(4),
            "s": weights(4),
            "t": weights(4),
            "m": weights(4),
            "v": np.abs(weights(4)) + 1,
            "w2": weights(4, 1, 2, 2),
            "w3": weights(4, 2, 2, 2),
            "w4": weights(5, 2),
            "b4": weights(5),
        },
    ),
    "pools": (
        [
            node("MaxPool", "x", "a", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
            node(
                "AveragePool",
                "x",
                "b",
                kernel_shape=[3, 3],
                pads=[1, 1, 0, 0],
                strides=[2, 2],
                count_include_pad=1,
            ),
            node("GlobalMaxPool", "a", "c"),
            node("GlobalMaxPool", "b", "d"),
            node("Concat", "c d", "y", axis=1),
        ],
        IMAGE,
        {},
    ),
    "attention": (
        [
            node("LayerNormalization", "x s t", "a", axis=-1),
            node("MatMul", "a w", "q"),
            node("Shape", "q", "size"),
            node("Gather", "size zero", "batch", axis=0),
            node("Unsqueeze", "batch zeros", "rows"),
            node("Concat", "rows rest", "wanted", axis=0),
            node("Reshape", "q wanted", "heads"),
            node("Transpose", "heads", "h", perm=[0, 2, 1, 3]),
            node("Transpose", "heads", "k", perm=[0, 2, 3, 1]),
            node("MatMul", "h k", "scores"),
            node("Div", "scores root", "scaled"),
            node("Softmax", "scaled", "p", axis=-1),
            node("MatMul", "p h", "mixed"),
            node("Transpose", "mixed", "back", perm=[0, 2, 1, 3]),
            node("Reshape", "back flat", "joined"),
            node("Add", "joined x", "sum"),
            node("Gelu", "sum", "g"),
            node("ReduceMean", "g last", "y", keepdims=0),
        ],
        ("N", 6, 8),
        {
            "s": weights(8),
            "t": weights(8),
            "w": weights(8, 8),
            "zero": np.array(0, np.int64),
            "zeros": ints(0),
            "rest": ints(6, 2, 4),
            "root": np.array(2, np.float32),
            "flat": ints(0, 6, 8),
            "last": ints(1),
        },
    ),
    "curves": (
        chain(
            "x",
            "Abs",
            ("Elu", {"alpha": 0.5}),
            "Erf",
            "Exp",
            "Log",
            "Sqrt",
            "Neg",
            "Tanh",
            "Sigmoid",
            "Sin",
            "Cos",
            "Reciprocal",
            "Softplus",
            "Selu",
            "HardSwish",
            ("HardSigmoid", {"alpha": 0.3}),
            "Identity",
            "LogSoftmax",
            "Floor",
            "Sign",
        ),
        ROWS,
        {},
    ),
    "arithmetic": (
        [
            node("Sub", "x w", "a"),
            node("Mul", "a x", "b"),
            node("Pow", "b two", "c"),
            node("Clip", "c low high", "d"),
            node("Max", "d w x", "e"),
            node("Min", "e x", "f"),
            node("Sum", "f w x", "g"),
            node("Mean", "g x", "h"),
            node("PRelu", "h w", "i"),
            node("Ceil", "i", "j"),
            node("Round", "i", "k"),
            node("Greater", "j k", "l"),
            node("Less", "j x", "o"),
            node("Or", "l o", "p"),
            node("Not", "p", "q"),
            node("GreaterOrEqual", "j k", "r"),
            node("LessOrEqual", "j k", "u"),
            node("And", "r u", "t"),
            node("Where", "q i h", "v1"),
            node("Where", "t v1 x", "y"),
        ],
        ROWS,
        {
            "w": weights(4),
            "two": np.array(2, np.float32),
            "low": np.array(0.1, np.float32),
            "high": np.array(1.5, np.float32),
        },
    ),
    "shapes": (
        [
            node("Slice", "x starts ends axes steps", "a"),
            node("Pad", "a pads value", "b"),
            node("Split", "b sizes", "c d", axis=1),
            node("Squeeze", "c one", "e"),
            node("Unsqueeze", "e one", "f"),
            node("Concat", "f d", "g", axis=1),
            node("Tile", "g repeats", "h"),
            node("Expand", "h wide", "i"),
            node("Gather", "i index", "j", axis=2),
            node("Constant", "", "k", value_float=2.0),
            node("Mul", "j k", "l"),
            node(
                "ConstantOfShape",
                "three",
                "ones",
                value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]),
            ),
            node("Add", "l ones", "m"),
            node("Dropout", "m", "n"),
            node("ReduceSum", "n", "o", keepdims=1),
            node("ReduceMax", "n two", "p"),
            node("ReduceMin", "n two", "q"),
            node("ReduceL2", "n two", "r"),
            node("Add", "p q", "s"),
            node("Add", "s r", "t"),
            node("Add", "t o", "u"),
            node("ArgMax", "u", "best", axis=1),
            node("Equal", "best zero", "is"),
            node("Cast", "is", "number", to=TensorProto.FLOAT),
            node("Add", "u number", "y"),
        ],
        (1, 5, 6),
        {
            "starts": ints(1, -4),
            "ends": ints(5, 1 << 62),
            "axes": ints(1, 2),
            "steps": ints(1, 2),
            "pads": ints(0, 0, 1, 0, 0, 0),
            "value": np.array(0.5, np.float32),
            "sizes": ints(1, 3),
            "one": ints(1),
            "two": ints(2),
            "repeats": ints(1, 2, 1),
            "wide": ints(2, 1, 1, 1),
            "index": np.array([[0, -1], [1, 0]], np.int64),
            "three": ints(3),
            "zero": np.array(0, np.int64),
        },
    ),
}


def saved(path: Path, name: str) -> Path:
    nodes, shape, constants = GRAPHS[name]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, each) for each, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("FORMATS_CACHE")
    return Path(kept) if kept else tmp_path_factory.mktemp("torch")


def scripted(path: Path, cache: Path, *shapes: Sequence[int]) -> Script:
    work = path.parent / "work"
    work.mkdir()
    told = [[shape] for shape in shapes]
    return as_torchscript(Bench("auto", ()), cache.resolve(), lambda _: None, path, told, work)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_answers_as_in_onnxruntime(name: str, cache: Path, tmp_path: Path) -> None:
    shape = [size if isinstance(size, int) else 2 for size in GRAPHS[name][1]]
    more = [shape] if GRAPHS[name][1][0] == 1 else [shape, [5, *shape[1:]]]

    made = scripted(saved(tmp_path / "m.onnx", name), cache, *more)

    assert made.path.stat().st_size
    assert made.output_names == ("y",)
    assert made.max_difference < 1e-5


def test_the_digits_become_torchscript(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "digits.onnx").write_bytes((DIGITS / "digits.onnx").read_bytes())
    made = scripted(tmp_path / "digits.onnx", cache, (1, 1, 8, 8), (8, 1, 8, 8))
    assert made.max_difference < 1e-5


# Stands for AWS's package on real PyTorch: what it "compiles" is the traced network.
TORCH_NEURONX = """
import torch

class PartitionerConfig:
    pass

def analyze(func, example_inputs):
    return {"unsupported_operators": []}

def trace(func, example_inputs, *, compiler_args=(), compiler_workdir=None):
    return torch.jit.trace(func, example_inputs, check_trace=False)
"""


def sdk(folder: Path, site: Path) -> Path:
    """A home of the SDK whose packages are those of `site`, real PyTorch among them."""
    packages = folder / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    for path in site.iterdir():
        (packages / path.name).symlink_to(path)
    (packages / "torch_neuronx.py").write_text(TORCH_NEURONX)
    for name in ("torch_neuronx", "neuronx_cc"):
        info = packages / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    return folder


def test_an_onnx_model_is_compiled_and_answers_through_the_backend(
    cache: Path, tmp_path: Path
) -> None:
    home = sdk(tmp_path / "sdk", install(list(ONNX_TO_TORCH.packages), cache.resolve()))
    path = DIGITS / "digits.onnx"
    original = OnnxBackend.load(str(path), threads=1, gpus=0)
    inputs = tuple(Tensor(each.name, each.dtype, each.shape) for each in original.inputs)
    source = Source(path, "0" * 64, "onnx", inputs)
    said: list[str] = []
    compiler = Compiler(Bench("off", ()), cache.resolve(), said.append, home)

    made = compiler.compile(source, Wanted("inf2", batches=(1, 4)))

    assert any("Made PyTorch from ONNX: the largest difference" in line for line in said)
    assert [each.name for each in made.manifest.outputs] == [s.name for s in original.outputs]
    x = RNG.random((6, *inputs[0].shape[1:])).astype(np.float32)
    (wanted,) = original.run({inputs[0].name: x})
    backend = NeuronBackend.load(str(made.path), device="inf2", cores="0", home=home)
    try:
        (found,) = backend.run({inputs[0].name: x})
    finally:
        backend.close()
    assert np.abs(found - wanted).max() < 1e-5


def test_what_an_operator_cannot_do_names_it(cache: Path, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [node("Slice", "x s e a t", "y")],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(ints(value), name)
            for name, value in (("s", 3), ("e", 0), ("a", 1), ("t", -1))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(HooklineError, match="The operator Slice of the model") as caught:
        scripted(tmp_path / "m.onnx", cache, (2, 4))
    assert "backwards" in caught.value.why


def test_every_operator_is_in_one_of_the_graphs() -> None:
    used = {each.op_type for nodes, _, _ in GRAPHS.values() for each in nodes}
    assert used == KNOWN
