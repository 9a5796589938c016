"""ONNX models on a real GPU. Run with `pytest -m gpu` where onnxruntime-gpu and its GPU are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from hookline.runtime.backends.onnx import OnnxBackend
from hookline.runtime.backends.providers import CUDA
from tests import onnx_models

pytestmark = pytest.mark.gpu


def test_a_model_runs_on_the_gpu_and_answers_as_on_the_cpu(tmp_path: Path) -> None:
    assert CUDA in onnxruntime.get_available_providers(), "The mark gpu asks for a GPU."
    path = str(onnx_models.linear(tmp_path / "m.onnx"))
    on_cpu = OnnxBackend.load(path, threads=1, gpus=0)
    on_gpu = OnnxBackend.load(path, threads=1, gpus=1)
    assert CUDA in on_gpu._session.get_providers()
    (spec,) = on_cpu.inputs
    x = np.random.default_rng(1).normal(size=(4, *spec.shape[1:])).astype(np.float32)
    for wanted, found in zip(on_cpu.run({spec.name: x}), on_gpu.run({spec.name: x}), strict=True):
        assert np.allclose(wanted, found, atol=1e-2)
