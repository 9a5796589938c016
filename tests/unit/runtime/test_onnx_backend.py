from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import hookline
from hookline.core.errors import InvalidInput, InvalidOutput, ModelLoadFailed
from hookline.runtime.backends.batches import ANY, BatchRunner, find_batch_axis
from hookline.runtime.backends.onnx import OnnxBackend
from tests import onnx_models

DTYPES = [
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.FLOAT16,
    TensorProto.INT8,
    TensorProto.INT16,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.UINT16,
    TensorProto.UINT32,
    TensorProto.UINT64,
    TensorProto.BOOL,
]


def load(path: Path) -> OnnxBackend:
    return OnnxBackend.load(str(path), threads=1, gpus=0)


def runner(path: Path) -> BatchRunner:
    backend = load(path)
    return BatchRunner(backend, find_batch_axis(backend))


def rows(count: int, width: int = 3) -> list[dict[str, np.ndarray[Any, Any]]]:
    return [{"x": np.full(width, at, np.float32)} for at in range(count)]


@pytest.mark.parametrize("element_type", DTYPES)
def test_every_number_type_goes_through_unchanged(tmp_path: Path, element_type: int) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(element_type)
    given = np.array([0, 1, 2]).astype(dtype)
    backend = load(onnx_models.identity(tmp_path / "m.onnx", element_type=element_type))
    (found,) = backend.run({"x": given[None]})
    assert backend.inputs[0].dtype == dtype.name
    assert found.dtype == dtype
    assert found[0].tolist() == given.tolist()


def test_strings_go_through_unchanged(tmp_path: Path) -> None:
    words = np.array([["hé"], [""]], object)
    (found,) = load(onnx_models.text(tmp_path / "m.onnx")).run({"words": words})
    assert found.tolist() == words.tolist()


def test_the_signature_names_variable_sizes_minus_one(tmp_path: Path) -> None:
    backend = load(onnx_models.embedding(tmp_path / "m.onnx"))
    assert [(s.name, s.dtype, s.shape) for s in (*backend.inputs, *backend.outputs)] == [
        ("tokens", "int64", (-1, -1)),
        ("vectors", "float32", (-1, -1, 2)),
    ]


@pytest.mark.parametrize("batch", ["N", 1, 4])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 9])
def test_any_number_of_examples_runs_whatever_the_batch_axis(
    tmp_path: Path, batch: str | int, count: int
) -> None:
    path = onnx_models.identity(tmp_path / "m.onnx", (batch, 3))
    found = [output["y"].tolist() for output in runner(path).run(rows(count))]
    assert found == [[float(at)] * 3 for at in range(count)]


@pytest.mark.parametrize(
    ("shape", "output_shape", "examples"),
    [
        (("N", 3), ("N", 3), ANY),
        ((None, 3), (None, 3), ANY),
        (("N", 3), ("another_name", 3), ANY),
        (("N", 3), (1, 3), ANY),
        ((1, 3), (1, 3), 1),
        ((4, 3), (4, 3), 4),
        ((4,), (4,), 1),
    ],
)
def test_the_batch_axis_is_found(
    tmp_path: Path,
    shape: tuple[int | str | None, ...],
    output_shape: tuple[int | str | None, ...],
    examples: int,
) -> None:
    path = onnx_models.identity(tmp_path / "m.onnx", shape, output_shape=output_shape)
    assert find_batch_axis(load(path)).examples == examples


def test_a_model_without_a_batch_axis_runs_one_by_one(tmp_path: Path) -> None:
    path = onnx_models.without_batch_axis(tmp_path / "m.onnx")
    images = [{"x": np.full((3, 4, 5), at, np.float32)} for at in range(2)]
    found = [output["y"] for output in runner(path).run(images)]
    assert [value.shape for value in found] == [(4, 5), (4, 5)]
    assert [value.max() for value in found] == [0.0, 3.0]


def test_an_output_without_a_batch_axis_is_taken_one_by_one(tmp_path: Path) -> None:
    found = runner(onnx_models.total(tmp_path / "m.onnx")).run(rows(3))
    assert [output["sum"].tolist() for output in found] == [0.0, 3.0, 6.0]


def test_rows_that_count_something_else_are_never_dealt_out(tmp_path: Path) -> None:
    examples = [{"x": np.array(row, np.float32)} for row in ([1, 0, 1], [0, 0, 0], [0, 1, 0])]
    found = runner(onnx_models.positives(tmp_path / "m.onnx")).run(examples)
    assert [output["found"].tolist() for output in found] == [[[0, 0], [0, 2]], [], [[0, 1]]]


def test_an_output_that_cannot_be_split_says_so(tmp_path: Path) -> None:
    backend = load(onnx_models.identity(tmp_path / "m.onnx", ("N", 3), output_shape=("N", 3)))
    axis = find_batch_axis(backend)

    class Merging:
        inputs, outputs, metadata = backend.inputs, backend.outputs, backend.metadata

        def run(self, feeds: Any) -> list[np.ndarray[Any, Any]]:
            return [feeds["x"][:1].reshape(3, 1)]

    with pytest.raises(InvalidOutput, match="cannot be split"):
        BatchRunner(Merging(), axis).run(rows(2))


def test_a_model_that_fails_on_an_input_tells_why_without_our_paths(tmp_path: Path) -> None:
    backend = load(onnx_models.embedding(tmp_path / "m.onnx"))
    with pytest.raises(InvalidInput, match="out of data bounds") as caught:
        backend.run({"tokens": np.array([[9]])})
    assert "onnxruntime" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07" * 50])
def test_a_file_that_is_not_a_model_fails_to_load(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelLoadFailed) as caught:
        load(path)
    assert caught.value.why
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_file_fails_to_load(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadFailed):
        load(tmp_path / "none.onnx")


def test_a_type_without_a_numpy_form_fails_to_load(tmp_path: Path) -> None:
    path = onnx_models.identity(tmp_path / "m.onnx", element_type=TensorProto.BFLOAT16)
    with pytest.raises(ModelLoadFailed, match="bfloat16"):
        load(path)


def test_asking_for_a_gpu_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadFailed, match="asks for 2 GPU") as caught:
        OnnxBackend.load(str(onnx_models.linear(tmp_path / "m.onnx")), threads=1, gpus=2)
    assert "without -g" in caught.value.hint


def test_class_probabilities_of_scikit_learn_become_an_array(tmp_path: Path) -> None:
    path = onnx_models.score_maps(tmp_path / "m.onnx")
    (output,) = runner(path).run([{"x": np.array([0.25, 0.75], np.float32)}])
    assert output["label"].tolist() == "dog"
    assert output["scores"].tolist() == [0.25, 0.75]


THE_BACKEND = """
from hookline.runtime.backends.onnx import OnnxBackend
OnnxBackend.load("model.onnx", threads=1, gpus=0)
"""
A_HOOK = """
from hookline.runtime.inference_file import load_hooks
load_hooks(".").init("model.onnx")
"""
OWN_SESSION = """
import onnxruntime
def init(prm):
    return onnxruntime.InferenceSession(prm)
"""


@pytest.mark.parametrize("load", [THE_BACKEND, A_HOOK])
def test_onnxruntime_reports_nothing_to_its_maker(load: str, tmp_path: Path) -> None:
    onnx_models.convolution(tmp_path / "model.onnx")
    (tmp_path / "inference.py").write_text(OWN_SESSION)
    done = subprocess.run(
        [sys.executable, "-c", load],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        # With nowhere to keep its device id, telemetry that is on says so.
        env={"HOME": "/proc/nowhere", "PYTHONPATH": str(Path(hookline.__file__).parents[1])},
    )
    assert done.stderr == b""
