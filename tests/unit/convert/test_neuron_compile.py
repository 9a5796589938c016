"""Compiling for NeuronCores with a fake compiler, in the sandboxed step that a real one runs in."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hookline.convert.isolation import Bench
from hookline.convert.job import Tensor
from hookline.convert.neuron_compile import Compiler, Source, Wanted, bucket_shapes, check
from hookline.core.errors import InvalidInput, InvalidModel, Unavailable
from hookline.runtime.backends.neuron import NeuronBackend
from tests.fake_neuron.machine import network, neuron_home

RNG = np.random.default_rng(3)
WEIGHTS = [RNG.normal(size=(3, 2)).astype(np.float32), RNG.normal(size=2).astype(np.float32)]
ROWS = (Tensor("x", "float32", (-1, 3)),)
TOKENS = (Tensor("ids", "float32", (-1, -1)),)


class World:
    """A machine with a compiler, and what it said."""

    def __init__(self, root: Path, target: str, version: str = "2.9.0") -> None:
        self.root, self.said = root, list[str]()
        self.home = neuron_home(
            root / f"neuron-{target}-{version}", target, cores=4, version=version
        )

    def source(self, layers: list[tuple[str, list[Any]]], inputs: tuple[Tensor, ...]) -> Source:
        path = network(self.root / "net.pt", *layers)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Source(path, digest, "torchscript", inputs)

    def compiler(self) -> Compiler:
        bench = Bench(sandbox="off", hidden=(), timeout_s=60)
        return Compiler(bench, self.root / "cache", self.said.append, self.home)


@pytest.fixture(params=["inf1", "inf2"])
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(tmp_path: Path, target: str) -> World:
    return World(tmp_path, target)


def test_a_model_is_compiled_and_answers_as_before(world: World, target: str) -> None:
    source = world.source([("aten::linear", WEIGHTS)], ROWS)
    made = world.compiler().compile(source, Wanted(target, batches=(1, 4)))
    assert made.manifest.compiler.startswith(f"torch-neuron{'x' if target == 'inf2' else ''} 2.9.0")
    assert [bucket.inputs for bucket in made.manifest.buckets] == [((1, 3),), ((4, 3),)]
    backend = NeuronBackend.load(str(made.path), device=target, cores="0", home=world.home)
    try:
        x = RNG.normal(size=(6, 3)).astype(np.float32)
        assert np.allclose(backend.run({"x": x})[0], x @ WEIGHTS[0] + WEIGHTS[1], atol=1e-6)
    finally:
        backend.close()


def test_outputs_keep_the_names_of_the_model_that_it_was(world: World, target: str) -> None:
    source = replace(world.source([("aten::linear", WEIGHTS)], ROWS), outputs=("scores",))
    made = world.compiler().compile(source, Wanted(target))
    assert [port.name for port in made.manifest.outputs] == ["scores"]


def test_it_is_compiled_once_for_a_model_shapes_flags_and_compiler(
    tmp_path: Path, world: World, target: str
) -> None:
    source = world.source([("aten::linear", WEIGHTS)], ROWS)
    first = world.compiler().compile(source, Wanted(target))
    assert world.compiler().compile(source, Wanted(target)).path == first.path
    assert len(world.said) == 1
    others = {
        world.compiler().compile(source, Wanted(target, precision="bf16")).path,
        world.compiler().compile(source, Wanted(target, batches=(2,))).path,
        world.compiler().compile(source, Wanted(target, is_dynamic=True)).path,
        World(tmp_path, target, "2.10.0").compiler().compile(source, Wanted(target)).path,
    }
    assert len(others - {first.path}) == 4


def test_operators_that_stay_on_the_cpu_are_counted(world: World, target: str) -> None:
    source = world.source([("aten::linear", WEIGHTS), ("aten::sort", [])], ROWS)
    made = world.compiler().compile(source, Wanted(target))
    assert made.manifest.on_cpu == {"aten::sort": 1}


def test_each_shape_is_a_bucket(world: World, target: str) -> None:
    source = world.source([("aten::relu", [])], TOKENS)
    wanted = Wanted(target, batches=(2,), shapes=((8,), (16,)))
    made = world.compiler().compile(source, wanted)
    assert [bucket.outputs for bucket in made.manifest.buckets] == [((2, 8),), ((2, 16),)]


def test_an_open_shape_is_refused_with_what_to_give(target: str) -> None:
    with pytest.raises(InvalidInput, match="ids leaves open how long its axis 1 is") as caught:
        bucket_shapes(TOKENS, Wanted(target))
    assert "--shape" in caught.value.hint


def test_a_batch_that_the_model_fixes_is_kept(target: str) -> None:
    fixed = (Tensor("x", "float32", (8, 3)),)
    assert bucket_shapes(fixed, Wanted(target, batches=(8,))) == [[(8, 3)]]
    with pytest.raises(InvalidInput, match="takes 8 examples at a time"):
        bucket_shapes(fixed, Wanted(target, batches=(1,)))


def test_a_model_that_does_not_run_on_the_shapes_says_so(world: World, target: str) -> None:
    source = world.source([("aten::linear", WEIGHTS)], (Tensor("x", "float32", (-1, 5)),))
    with pytest.raises(InvalidInput, match=r"does not run on inputs of the shapes \[\[1, 5\]\]"):
        world.compiler().compile(source, Wanted(target))


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (Wanted("inf1", precision="int8"), "inf1 does not compute in int8"),
        (Wanted("inf2", precision="int4"), "inf2 does not compute in int4"),
        (Wanted("inf2", cores=2, is_pipeline=True), "Only Inf1 runs one model as a pipeline"),
        (Wanted("inf1", cores=1, is_pipeline=True), "A pipeline of 1 core"),
        (Wanted("inf1", cores=65), "No inf1 instance has 65 cores"),
        (Wanted("inf1", batches=()), "at least 1 example"),
    ],
)
def test_what_a_device_cannot_do_is_refused_first(wanted: Wanted, text: str) -> None:
    with pytest.raises(InvalidInput, match=text) as caught:
        check(wanted)
    assert caught.value.hint


def test_the_flags_are_the_compilers_own() -> None:
    assert Wanted("inf1", cores=4, is_pipeline=True, precision="fp16").arguments == (
        "--neuroncore-pipeline-cores",
        "4",
        "--fast-math",
        "fp32-cast-all-fp16",
    )
    assert Wanted("inf2", precision="fp32").arguments == ("--auto-cast", "none")


def test_without_a_compiler_it_says_where_one_comes_from(
    tmp_path: Path, world: World, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    source = world.source([("aten::linear", WEIGHTS)], ROWS)
    bench = Bench(sandbox="off", hidden=())
    compiler = Compiler(bench, tmp_path / "cache", world.said.append, tmp_path / "nowhere")
    with pytest.raises(Unavailable, match=f"no compiler for {target}") as caught:
        compiler.compile(source, Wanted(target))
    assert "UV_INDEX" in caught.value.hint


def test_a_model_for_another_target_than_the_compilers_is_refused(world: World) -> None:
    other = "inf2" if "inf1" in world.home.name else "inf1"
    source = world.source([("aten::linear", WEIGHTS)], ROWS)
    with pytest.raises(InvalidModel, match="The environment has no"):
        world.compiler().compile(source, Wanted(other))
