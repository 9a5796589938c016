"""PyTorch models on a real GPU. Run with `pytest -m gpu` where torch and its GPU are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def torch() -> Any:
    found = pytest.importorskip("torch")
    assert found.cuda.is_available(), "The mark gpu asks for a GPU."
    return found


@pytest.fixture(scope="module")
def files(torch: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolutional network with a constant of its own, in both formats."""

    class Net(torch.nn.Module):  # type: ignore[misc]  # torch is found at run time
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Sequential(
                torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten()
            )
            self.head = torch.nn.Linear(8 * 6 * 6, 5)

        def forward(self, x: Any) -> Any:
            return self.head(self.body(x)) + torch.arange(5)

    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    net, x = Net().eval(), torch.randn(2, 3, 8, 8)
    np.save(folder / "x.npy", x.numpy())
    np.save(folder / "y.npy", net(x).detach().numpy())
    torch.jit.trace(net, x).save(str(folder / "torchscript"))
    torch.export.save(torch.export.export(net, (x,)), str(folder / "pt2"))
    return folder


@pytest.mark.parametrize("kind", ["torchscript", "pt2"])
def test_a_model_runs_on_the_gpu_and_answers_as_on_the_cpu(
    kind: str, torch: Any, files: Path
) -> None:
    from hookline.runtime.backends.pytorch import TorchBackend  # noqa: PLC0415 - it imports torch
    from hookline.runtime.backends.tensors import TensorSpec  # noqa: PLC0415 - as above

    inputs = [TensorSpec("x", "float32", (2, 3, 8, 8))]
    outputs = [TensorSpec("output", "float32", (2, 5))]
    before = torch.cuda.memory_allocated()
    backend = TorchBackend.load(
        str(files / kind), kind=kind, threads=0, gpus=1, inputs=inputs, outputs=outputs
    )
    held = torch.cuda.memory_allocated() - before
    weights = 4 * (3 * 8 * 9 + 8 + 8 * 36 * 5 + 5)
    assert held >= weights  # all of it is there, not here

    (found,) = backend.run({"x": np.load(files / "x.npy")})

    assert np.allclose(found, np.load(files / "y.npy"), atol=1e-2)  # convolutions use TF32
    assert torch.cuda.max_memory_allocated() > before + held
