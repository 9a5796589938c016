"""Compiled models on a fake Neuron runtime that keeps the documented rules, in real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hookline.core.errors import InvalidInput, ModelLoadFailed, Unavailable
from hookline.runtime.backends.neuron import NeuronBackend
from hookline.runtime.model import Model
from tests.fake_neuron.machine import compiled_file, neuron_home

Load = Callable[..., NeuronBackend]
RNG = np.random.default_rng(5)
WEIGHTS = [RNG.normal(size=(3, 2)).astype(np.float32), RNG.normal(size=2).astype(np.float32)]
LINEAR: list[tuple[str, list[Any]]] = [("aten::linear", WEIGHTS)]
FACTOR = np.array(3, np.float32)
TRIPLE: list[tuple[str, list[Any]]] = [("aten::mul", [FACTOR])]
BATCHES = [([(size, 3)], [(size, 2)]) for size in (1, 4)]
LENGTHS = [([(2, length)], [(2, length)]) for length in (8, 16)]


@pytest.fixture(params=["inf1", "inf2"])
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def home(tmp_path: Path, target: str) -> Path:
    return neuron_home(tmp_path / "neuron", target, cores=4)


@pytest.fixture
def load(home: Path, target: str) -> Iterator[Load]:
    loaded: list[NeuronBackend] = []

    def start(path: Path, cores: str = "0", device: str = "") -> NeuronBackend:
        backend = NeuronBackend.load(str(path), device=device or target, cores=cores, home=home)
        loaded.append(backend)
        return backend

    yield start
    for backend in loaded:
        backend.close()


def linear(x: Any) -> Any:
    return x @ WEIGHTS[0] + WEIGHTS[1]


def rows(count: int, width: int = 3) -> Any:
    return RNG.normal(size=(count, width)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_any_number_of_examples_goes_through_fixed_batches(
    count: int, tmp_path: Path, target: str, load: Load
) -> None:
    backend = load(compiled_file(tmp_path / "m", target, LINEAR, BATCHES))
    x = rows(count)
    (y,) = backend.run({"x0": x})
    assert y.shape == (count, 2)
    assert np.allclose(y, linear(x), atol=1e-6)


def test_a_dynamic_batch_goes_through_in_one_run(tmp_path: Path, target: str, load: Load) -> None:
    path = compiled_file(tmp_path / "m", target, LINEAR, BATCHES[:1], is_dynamic=True)
    x = rows(7)
    assert np.allclose(load(path).run({"x0": x})[0], linear(x), atol=1e-6)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16])
def test_lengths_are_padded_to_a_bucket_and_cut_back(
    length: int, tmp_path: Path, target: str, load: Load
) -> None:
    backend = load(compiled_file(tmp_path / "m", target, TRIPLE, LENGTHS))
    assert [spec.shape for spec in backend.inputs] == [(-1, -1)]
    x = rows(3, length)
    (y,) = backend.run({"x0": x})
    assert y.shape == x.shape
    assert np.array_equal(y, x * FACTOR)


def test_what_no_bucket_holds_is_refused_with_the_shapes(
    tmp_path: Path, target: str, load: Load
) -> None:
    backend = load(compiled_file(tmp_path / "m", target, TRIPLE, LENGTHS))
    with pytest.raises(InvalidInput, match=r"examples of the shape \[\[17\]\]") as caught:
        backend.run({"x0": rows(1, 17)})
    assert "[[16]], [[8]]" in caught.value.why
    assert "--shape" in caught.value.hint


def test_several_inputs_and_a_model_of_the_runtime(tmp_path: Path, target: str, load: Load) -> None:
    shapes = [([(2, 3), (2, 3)], [(2, 3)])]
    model = Model(load(compiled_file(tmp_path / "m", target, [("aten::add", [])], shapes)))
    a, b = rows(5), rows(5)
    assert np.allclose(model.run({"x0": a, "x1": b})["y0"], a + b)
    assert model.batch_axis.examples == 0  # any number


def test_the_cores_of_a_group_work_side_by_side(tmp_path: Path, target: str, load: Load) -> None:
    path = compiled_file(tmp_path / "m", target, LINEAR, BATCHES, cores=2)
    x = rows(11)
    assert np.allclose(load(path, "2-3").run({"x0": x})[0], linear(x), atol=1e-6)


@pytest.mark.parametrize("target", ["inf1"], indirect=True)
def test_a_pipeline_runs_over_its_group(tmp_path: Path, target: str, load: Load) -> None:
    path = compiled_file(tmp_path / "m", target, LINEAR, BATCHES, cores=3, is_pipeline=True)
    x = rows(3)
    assert np.allclose(load(path, "1-3").run({"x0": x})[0], linear(x), atol=1e-6)
    with pytest.raises(ModelLoadFailed, match="cannot load") as caught:
        load(path, "0")
    assert "needs 3 contiguous cores" in caught.value.why


def test_groups_of_one_machine_run_side_by_side_and_never_share(
    tmp_path: Path, target: str, load: Load
) -> None:
    path = compiled_file(tmp_path / "m", target, LINEAR, BATCHES)
    first, second = load(path, "0"), load(path, "1-2")
    x = rows(2)
    for backend in (first, second):
        assert np.allclose(backend.run({"x0": x})[0], linear(x), atol=1e-6)
    with pytest.raises(ModelLoadFailed, match="cannot load") as caught:
        load(path, "2-3")
    assert "core 2 is in use by another process" in caught.value.why
    second.close()
    load(path, "2-3")


def test_a_model_for_the_other_device_is_refused(tmp_path: Path, target: str, load: Load) -> None:
    other = "inf2" if target == "inf1" else "inf1"
    path = compiled_file(tmp_path / "m", other, LINEAR, BATCHES)
    with pytest.raises(ModelLoadFailed, match=f"compiled for {other} and cannot run on {target}"):
        load(path)
    with pytest.raises(ModelLoadFailed) as caught:  # whoever says so is refused by the runtime
        load(path, device=other)
    assert "No module named" in caught.value.why or "NEFF is for" in caught.value.why


def test_a_process_that_ends_is_replaced_and_has_its_cores_again(
    tmp_path: Path, target: str, load: Load
) -> None:
    backend = load(compiled_file(tmp_path / "m", target, LINEAR, BATCHES))
    assert backend._child is not None
    os.kill(backend._child.pid, signal.SIGKILL)
    x = rows(2)
    with pytest.raises(Unavailable, match="has ended"):
        backend.run({"x0": x})
    assert np.allclose(backend.run({"x0": x})[0], linear(x), atol=1e-6)


def test_the_child_never_outlives_the_backend(tmp_path: Path, target: str, load: Load) -> None:
    backend = load(compiled_file(tmp_path / "m", target, LINEAR, BATCHES))
    assert backend._child is not None
    pid = backend._child.pid
    backend.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_without_the_sdk_it_says_what_to_do(tmp_path: Path) -> None:
    path = compiled_file(tmp_path / "m", "inf2", LINEAR, BATCHES)
    with pytest.raises(Unavailable, match="Neuron SDK is not on this machine") as caught:
        NeuronBackend.load(str(path), device="inf2", cores="0", home=tmp_path / "nowhere")
    assert "image for inf1 or inf2" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_compiled_model_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(content)
    with pytest.raises(ModelLoadFailed, match="not a model compiled for Neuron") as caught:
        NeuronBackend.load(str(path), device="inf2", cores="0", home=tmp_path)
    assert "model compile" in caught.value.hint
