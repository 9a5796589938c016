"""Which ONNX models can become PyTorch's, told before anything is installed."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from hookline.convert import steps
from hookline.convert.onnxoperators import KNOWN, unknown_operators
from hookline.convert.torchscript import check_operators
from hookline.core.errors import InvalidModel
from tests.e2e.cloud import DIGITS


def model(*operators: tuple[str, str]) -> bytes:
    """Operators, each a name and a domain; the last lies in the branch of an If."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])
    nodes = [
        helper.make_node(name, ["x"], [f"y{index}"], domain=domain)
        for index, (name, domain) in enumerate(operators)
    ]
    inner = helper.make_graph(nodes[-1:], "inner", [], [value])
    branch = helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph([*nodes[:-1], branch], "net", [value], [value])
    found: bytes = helper.make_model(graph).SerializeToString()
    return found


def test_operators_of_subgraphs_and_other_domains_are_named() -> None:
    found = unknown_operators(
        io.BytesIO(model(("Relu", ""), ("GridSample", ""), ("Magic", "org.example"), ("Loop", "")))
    )
    assert found == ["GridSample", "If", "Loop", "org.example.Magic"]


def test_a_model_of_known_operators_may_be_compiled() -> None:
    check_operators(DIGITS / "digits.onnx")


def test_an_operator_that_is_not_known_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model(("Relu", ""), ("GridSample", ""), ("Relu", "")))
    with pytest.raises(InvalidModel, match="the operators GridSample, If of ONNX") as caught:
        check_operators(path)
    assert "TorchScript" in caught.value.hint


def test_each_operator_that_is_promised_has_its_function() -> None:
    code = (Path(steps.__path__[0]) / "torch_operators.py").read_text()
    tables = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.AnnAssign)]
    (table,) = [one for one in tables if isinstance(one.value, ast.Dict)]
    assert isinstance(table.value, ast.Dict)
    names = {ast.literal_eval(key) for key in table.value.keys if key is not None}
    assert names | {"Constant"} == KNOWN
