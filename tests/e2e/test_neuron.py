"""A model compiled for Inferentia on a machine that has a (fake) compiler and no device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from hookline import Client
from tests import onnx_models
from tests.e2e.cloud import Cloud, until
from tests.e2e.test_attacks import key
from tests.fake_neuron.machine import network, neuron_home

W = np.arange(6, dtype=np.float32).reshape(3, 2)
B = np.ones(2, np.float32)
LAYERS: list[tuple[str, list[Any]]] = [("aten::linear", [W, B]), ("aten::sort", [])]
DESCRIBED = {
    "format": "torchscript",
    "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 3]}],
    "outputs": [{"name": "y", "dtype": "float32", "shape": [-1, 2]}],
}


@pytest.fixture(scope="module")
def source_id(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = network(tmp_path_factory.mktemp("model") / "net.pt", *LAYERS)
    with Client(cloud.endpoint, key(cloud)) as client:
        return str(client.import_model(path, "net", described=DESCRIBED).id)


def test_a_model_is_compiled_once_and_needs_its_device(
    cloud: Cloud, source_id: str, tmp_path: Path
) -> None:
    home = neuron_home(tmp_path / "neuron", "inf2", cores=2)
    wanted = ("--target", "inf2", "--batch", "1,4", "--compiler", str(home))

    first = cloud.run("model", "compile", source_id, *wanted)
    again = cloud.run("model", "compile", source_id, *wanted, "--name", "again")

    assert "Compiling for inf2: 2 buckets of shapes." in first.stderr
    assert "Left to the CPU, which may be slow: 1 × aten::sort." in first.stderr
    assert "Compiling" not in again.stderr
    made = next(m for m in cloud.ask("model", "list") if m["name"] == "net-inf2")
    shown = cloud.ask("model", "show", str(made["id"]))
    assert shown["compilation"]["model_id"] == int(source_id)
    assert shown["inputs"] == [{"name": "x", "dtype": "float32", "shape": [-1, 3]}]

    stream = cloud.ask("model", "deploy", str(made["id"]))
    failed = until(lambda: _failed(cloud, stream["id"]))
    assert "This machine has no inf2 device." in failed["message"]


def _failed(cloud: Cloud, stream_id: int) -> dict[str, Any] | None:
    shown = cloud.ask("stream", "show", str(stream_id))
    return shown["failure"] if shown["status"] == "Failed" else None


def test_what_cannot_be_is_told_in_a_sentence(cloud: Cloud, source_id: str, tmp_path: Path) -> None:
    def refusal(*arguments: str) -> str:
        return cloud.run(*arguments, status=6, environment={"UV_OFFLINE": "1"}).stderr

    int8 = refusal("model", "compile", source_id, "--target", "inf1", "--precision", "int8")
    assert "inf1 does not compute in int8" in int8
    rows = (onnx_models.FLOAT, ("N", 3))
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Hardmax", ["a"], ["y"])]
    path = onnx_models.save(tmp_path / "odd.onnx", nodes, {"x": rows}, {"y": rows})
    odd = cloud.ask("model", "import", str(path), "--name", "odd")
    onnx = refusal("model", "compile", str(odd["id"]), "--target", "inf2")
    assert "the operators Hardmax of ONNX do not become PyTorch here" in onnx
    undone = refusal("model", "deploy", source_id, "--device", "inf2", "--cores", "2")
    assert f"hookline model compile {source_id} --target inf2" in undone
