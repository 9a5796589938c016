"""TorchScript and torch.export on PyTorch itself, in the replica's own environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hookline.runtime.backends.packages import TORCH
from tests.e2e.cloud import Cloud
from tests.e2e.formats import journey, kept_cache, made, outputs

pytestmark = [pytest.mark.formats, pytest.mark.timeout(3600)]

PROGRAM = """
import numpy as np
import torch

torch.manual_seed(0)
net = torch.nn.Sequential(
    torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
    torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(16, 5),
).eval()
x = torch.randn(1, 3, 8, 8)
np.save("x.npy", x[0].numpy())
np.save("y.npy", net(x).detach().numpy())
torch.jit.trace(net, x).save("net.pt")
batch = torch.export.Dim("batch", min=1, max=64)
many = (torch.randn(2, 3, 8, 8),)
torch.export.save(torch.export.export(net, many, dynamic_shapes=({0: batch},)), "net.pt2")
torch.save(net.state_dict(), "weights.pt")
torch.save(net.state_dict(), "old.pt", _use_new_zipfile_serialization=False)

class Two(torch.nn.Module):
    def forward(self, left, right):
        return {"sum": left + right, "difference": left - right}

torch.jit.script(Two()).save("two.pt")

class Rigid(torch.nn.Module):
    def forward(self, x):
        return x @ torch.ones(3, 3, dtype=torch.float32)

torch.jit.script(Rigid()).save("rigid.pt")
np.savez("two.npz", left=np.zeros((1, 3), np.float32), right=np.zeros((1, 3), np.float32))
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with kept_cache(tmp_path_factory.mktemp("torch") / "home") as started:
        yield started


@pytest.fixture(scope="module")
def models(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    made(cloud, TORCH.requirements, PROGRAM, folder)
    return folder


@pytest.mark.parametrize(
    ("name", "flags", "kind"),
    [("net.pt", ("--input-shape", "1,3,8,8"), "torchscript"), ("net.pt2", (), "pt2")],
)
def test_a_model_answers_as_in_torch(
    name: str, flags: tuple[str, ...], kind: str, cloud: Cloud, models: Path, tmp_path: Path
) -> None:
    x, y = np.load(models / "x.npy"), np.load(models / "y.npy")

    found = journey(cloud, models / name, x, *flags, folder=tmp_path)

    assert found.model["format"] == kind
    assert found.model["inputs"][0]["shape"] == [-1, 3, 8, 8]
    assert found.model["outputs"][0]["shape"] == [-1, 5]
    assert np.allclose(outputs(found.served), y.ravel(), atol=1e-6)
    assert found.batched == found.served


@pytest.mark.parametrize(
    ("name", "flags"), [("net.pt", ("--input-shape", "1,3,8,8")), ("net.pt2", ())]
)
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_variant_in_half_precision_is_made_compared_and_served(
    precision: str, name: str, flags: tuple[str, ...], cloud: Cloud, models: Path
) -> None:
    x, y = np.load(models / "x.npy"), np.load(models / "y.npy")
    source = cloud.ask("model", "import", f"{models}/{name}", "--name", "net", *flags)

    made = cloud.ask("model", "optimize", str(source["id"]), "--precision", precision)

    shown = cloud.ask("model", "show", str(made["id"]))
    original = cloud.ask("model", "show", str(source["id"]))
    assert [shown[role] for role in ("format", "inputs", "outputs")] == [
        original[role] for role in ("format", "inputs", "outputs")
    ]
    assert shown["variant"]["precision"] == precision
    assert shown["variant"]["parent_id"] == source["id"]
    found = shown["variant"]["accuracy"]
    assert found["examples"] == 64
    assert 0 < found["largest_error"] < 0.05
    stream = cloud.ask("model", "deploy", str(made["id"]), "--force", "--wait")
    body = json.dumps(x.tolist()).encode()
    answer = cloud.predict(stream["presigned_token"], body, "application/json")
    gap = np.abs(outputs(answer.json()) - y.ravel()).max()
    assert 1e-7 < gap < 0.05  # float32 answers within 1e-7 or so
    cloud.run("stream", "undeploy", str(stream["id"]))


def test_a_file_is_imported_in_bf16(cloud: Cloud, models: Path) -> None:
    made = cloud.ask("model", "import", f"{models}/net.pt2", "--name", "net", "--precision", "bf16")
    shown = cloud.ask("model", "show", str(made["id"]))
    assert shown["variant"]["precision"] == "bf16"
    assert shown["inputs"][0]["dtype"] == "float32"


def test_a_network_that_cannot_compute_in_bf16_says_why(cloud: Cloud, models: Path) -> None:
    source = cloud.ask(
        "model", "import", f"{models}/rigid.pt", "--name", "r", "--input-shape", "1,3"
    )
    before = cloud.ask("model", "list")

    done = cloud.run("model", "optimize", str(source["id"]), "--precision", "bf16", status=6)

    assert "The model does not run in bf16." in done.stderr
    assert "Hint: " in done.stderr
    assert cloud.ask("model", "list") == before


def test_several_inputs_are_described_by_a_sample(cloud: Cloud, models: Path) -> None:
    model = cloud.ask(
        "model", "import", f"{models}/two.pt", "--name", "two", "--sample", f"{models}/two.npz"
    )
    shown = cloud.ask("model", "show", str(model["id"]))
    assert [each["name"] for each in shown["inputs"]] == ["left", "right"]
    assert [each["name"] for each in shown["outputs"]] == ["sum", "difference"]
    assert [each["shape"] for each in shown["outputs"]] == [[-1, 3], [-1, 3]]


def test_torchscript_without_a_shape_is_refused_with_the_flag(cloud: Cloud, models: Path) -> None:
    done = cloud.run("model", "import", f"{models}/net.pt", "--name", "net", status=6)
    assert "--input-shape" in done.stderr


@pytest.mark.parametrize("name", ["weights.pt", "old.pt"])
def test_a_state_dict_is_refused_with_what_to_do(name: str, cloud: Cloud, models: Path) -> None:
    done = cloud.run("model", "import", f"{models}/{name}", "--name", "net", status=6)
    assert "weights of a PyTorch model without the network" in done.stderr
    assert "torch.export.save" in done.stderr


def test_a_gpu_that_is_not_there_fails_the_stream_in_a_sentence(cloud: Cloud, models: Path) -> None:
    model = cloud.ask("model", "import", f"{models}/net.pt2", "--name", "net")
    done = cloud.run("model", "deploy", str(model["id"]), "-g", "1", "--wait", status=8)
    assert "PyTorch cannot use one" in done.stderr


def test_a_damaged_file_is_refused(cloud: Cloud, models: Path, tmp_path: Path) -> None:
    whole = bytearray((models / "net.pt").read_bytes())
    start = whole.index(b"data.pkl") + 200
    whole[start : start + 200] = b"\xff" * 200
    path = tmp_path / "spoilt.pt"
    path.write_bytes(whole)
    done = cloud.run(
        "model", "import", str(path), "--name", "net", "--input-shape", "1,3,8,8", status=6
    )
    assert "Hint: " in done.stderr
    assert "Traceback" not in done.stderr
