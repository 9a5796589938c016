"""Variants of models in other precisions, made and compared as `model optimize` does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hookline.convert.job import Job
from hookline.convert.precisions import RECIPES, TORCH_RECIPES, recipe
from hookline.convert.steps import to_int4
from hookline.core.errors import HooklineError, InvalidInput, InvalidModel
from hookline.core.models import Precision
from hookline.evaluation.steps.compare import refuse_if_endless
from hookline.evaluation.truth import read_truth
from hookline.evaluation.workshop import Material, Workshop
from hookline.runtime.backends.onnx import OnnxBackend
from hookline.runtime.spec import PipelineSpec
from tests.e2e.cloud import DIGITS, digit_files

FILES = {path.name: path for path in digit_files()[:40]}


def kinds(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


def saved(path: Path, nodes: list[Any], shapes: tuple[Any, Any], **weights: Any) -> Path:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shapes[0])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shapes[1])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("precision", "files", "operators", "share_of_size"),
    [
        ("fp16", FILES, {"Cast"}, 0.55),
        ("mixed", FILES, {"Cast"}, 0.55),
        ("int8", FILES, {"QuantizeLinear", "DequantizeLinear"}, 0.35),
        ("int8", {}, {"MatMulInteger"}, 0.4),
        ("int4", FILES, {"MatMulNBits"}, 0.3),
    ],
)
def test_a_variant_is_smaller_and_answers_nearly_the_same(
    precision: Precision,
    files: dict[str, Path],
    operators: set[str],
    share_of_size: float,
    workshop: Workshop,
    digits: PipelineSpec,
    tmp_path: Path,
) -> None:
    target = tmp_path / "variant.onnx"

    told = workshop.optimize(digits, precision, Material(files), target)

    found = told["accuracy"]
    assert operators <= kinds(target)
    assert found["size_bytes"] == target.stat().st_size
    assert found["size_bytes"] < share_of_size * found["original_size_bytes"]
    assert found["agreement"] >= 0.97
    assert 0 < found["mean_error"] <= found["largest_error"] < 0.3
    assert found["speed_up"] > 0
    assert (found["examples"], found["data"]) == ((40, "files") if files else (64, "random"))
    assert _metadata(target)["scale"] == str(1 / 255)


def _metadata(path: Path) -> dict[str, str]:
    return {each.key: each.value for each in onnx.load(path).metadata_props}


def test_accuracies_are_compared_where_the_truth_is_known(
    workshop: Workshop, digits: PipelineSpec, tmp_path: Path
) -> None:
    material = Material(FILES, read_truth(DIGITS / "truth.csv"))

    found = workshop.optimize(digits, "int8", material, tmp_path / "v")["accuracy"]

    truth = read_truth(DIGITS / "truth.csv")
    right = sum(_answered(digits, path) == int(truth[name][0]) for name, path in FILES.items())
    assert found["original_accuracy"] == pytest.approx(right / len(FILES))
    assert found["original_top_k_accuracy"] >= found["original_accuracy"]
    assert found["accuracy"] > 0.9


def _answered(spec: PipelineSpec, path: Path) -> int:
    from hookline.convert.steps.read_examples import example_of  # noqa: PLC0415 - loads a model
    from hookline.runtime.model import Model  # noqa: PLC0415 - as above

    model = Model.load(spec)
    return int(model.predict_batch([example_of(model, path.name, path.read_bytes())])[0].argmax())


def test_files_that_cannot_be_read_are_left_out_and_counted(
    workshop: Workshop, digits: PipelineSpec, said: list[str], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no image")

    told = workshop.optimize(
        digits, "int8", Material(FILES | {"notes.txt": tmp_path / "notes.txt"}), tmp_path / "v"
    )

    assert told["accuracy"]["skipped"] == 1
    assert any("notes.txt" in line for line in said)


def test_without_one_readable_file_it_is_refused(
    workshop: Workshop, digits: PipelineSpec, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no image")

    with pytest.raises(InvalidInput, match="Not one of the 1 files can be read") as error:
        workshop.optimize(
            digits, "int8", Material({"notes.txt": tmp_path / "notes.txt"}), tmp_path / "v"
        )

    assert "streams of the model" in error.value.hint
    assert not (tmp_path / "v").exists()


def test_a_truth_about_other_files_is_refused() -> None:
    with pytest.raises(InvalidInput, match="names none of the 40 files"):
        Material(FILES, {"cat.png": ("1",)}).chosen()


def test_many_files_are_taken_evenly() -> None:
    files = {f"{index:03}": Path(f"{index:03}") for index in range(100)}
    assert list(Material(files).chosen(4).files) == ["000", "025", "050", "075"]


@pytest.mark.parametrize(
    ("precision", "model_format", "sentence"),
    [
        ("bf16", "onnx", "onnxruntime has no convolution and no matrix product in bfloat16"),
        ("int8", "pt2", "A pt2 model is made in bf16 or fp16, not in int8"),
        ("mixed", "torchscript", "A torchscript model is made in bf16 or fp16, not in mixed"),
        ("fp16", "neuron", "A neuron model computes in what it was compiled for"),
        ("fp32", "onnx", "There is nothing to do for fp32"),
    ],
)
def test_what_cannot_be_made_is_refused_with_what_can(
    precision: Precision, model_format: str, sentence: str
) -> None:
    with pytest.raises(HooklineError, match=sentence) as error:
        recipe(precision, model_format)
    assert error.value.hint


def test_bfloat16_is_refused_because_this_onnxruntime_lacks_it(tmp_path: Path) -> None:
    """When this fails, onnxruntime can do it, and so should hookline."""
    cast = helper.make_node("Cast", ["x"], ["a"], to=TensorProto.BFLOAT16)
    product = helper.make_node("MatMul", ["a", "a"], ["b"])
    back = helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT)
    path = saved(tmp_path / "m.onnx", [cast, product, back], ([2, 2], [2, 2]))

    with pytest.raises(HooklineError, match="MatMul"):
        OnnxBackend.load(str(path), threads=1, gpus=0)


@pytest.mark.parametrize(("precision", "files"), [("int8", {}), ("int4", {})])
def test_a_model_with_nothing_to_change_is_refused(
    precision: Precision,
    files: dict[str, Path],
    workshop: Workshop,
    spec_of: Callable[[Path], PipelineSpec],
    tmp_path: Path,
) -> None:
    path = saved(
        tmp_path / "m.onnx", [helper.make_node("Relu", ["x"], ["y"])], (["N", 4], ["N", 4])
    )

    with pytest.raises(InvalidModel, match=f"Nothing in the model .* {precision}"):
        workshop.optimize(spec_of(path), precision, Material(files), tmp_path / "v")


def test_answers_that_leave_the_numbers_are_noticed() -> None:
    one, endless = [np.ones((1, 2))], [np.array([[1, np.inf]])]

    refuse_if_endless(endless, endless, "fp16")
    with pytest.raises(InvalidModel, match="In fp16 the model answers numbers that are not finite"):
        refuse_if_endless(one, endless, "fp16")


def test_weights_of_float16_are_not_cut_below_what_it_holds(
    workshop: Workshop, spec_of: Callable[[Path], PipelineSpec], tmp_path: Path
) -> None:
    path = saved(
        tmp_path / "m.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        (["N", 1], ["N", 2]),
        w=np.array([[60_000, 1e-6]], np.float32),
    )
    workshop.optimize(spec_of(path), "fp16", Material(), tmp_path / "v")

    (found,) = OnnxBackend.load(str(tmp_path / "v"), threads=1, gpus=0).run(
        {"x": np.array([[0.01]], np.float32)}
    )

    assert found[0, 0] == pytest.approx(600, rel=1e-2)
    assert found[0, 1] > 0


def test_answers_that_are_no_scores_agree_by_their_values(
    workshop: Workshop, spec_of: Callable[[Path], PipelineSpec], tmp_path: Path
) -> None:
    weight = np.random.default_rng(0).standard_normal((8, 1)).astype(np.float32)
    path = saved(
        tmp_path / "m.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        (["N", 8], ["N", 1]),
        w=weight,
    )

    found = workshop.optimize(spec_of(path), "fp16", Material(), tmp_path / "v")["accuracy"]

    assert found["answers"] == "values"
    assert found["agreement"] == 1.0
    assert "top_k_agreement" not in found


@pytest.mark.parametrize("shape", [(3, 32), (5, 33), (1, 100), (4, 7)])
def test_four_bits_are_packed_as_the_operator_reads_them(
    shape: tuple[int, int], tmp_path: Path
) -> None:
    columns, length = shape
    weight = np.random.default_rng(1).standard_normal((length, columns)).astype(np.float32)
    path = saved(
        tmp_path / "m.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        (["N", length], ["N", columns]),
        w=weight,
    )
    to_int4.run(Job("", str(path), str(tmp_path), details={}))
    x = np.eye(length, dtype=np.float32)

    (found,) = OnnxBackend.load(str(tmp_path / "model.onnx"), threads=1, gpus=0).run({"x": x})

    steps = _steps(weight.T)
    assert np.abs(found.T - weight.T).max() > 0
    assert (np.abs(found.T - weight.T) <= steps / 2 + 1e-6).all()


def _steps(weight: Any) -> Any:
    """The distance between two neighbours of the 16 numbers that each weight may become."""
    found = np.empty_like(weight)
    for start in range(0, weight.shape[1], to_int4.BLOCK):
        block = weight[:, start : start + to_int4.BLOCK]
        spread = np.maximum(block.max(1), 0) - np.minimum(block.min(1), 0)
        found[:, start : start + to_int4.BLOCK] = spread[:, None] / 15
    return found * 2  # the zero point is one of the 16 too, and is rounded


def test_a_gemm_keeps_its_bias_in_four_bits(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "m.onnx",
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)],
        (["N", 4], ["N", 2]),
        w=np.zeros((2, 4), np.float32),
        b=np.array([1, 2], np.float32),
    )
    to_int4.run(Job("", str(path), str(tmp_path), details={}))

    backend = OnnxBackend.load(str(tmp_path / "model.onnx"), threads=1, gpus=0)

    assert backend.run({"x": np.ones((1, 4), np.float32)})[0].tolist() == [[1, 2]]


def test_every_precision_says_how_it_is_made() -> None:
    for each in (*RECIPES.values(), *TORCH_RECIPES.values()):
        assert each.method(has_files=True)
        assert each.method(has_files=False)
