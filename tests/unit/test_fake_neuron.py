"""The fake Neuron runtime refuses what the real one is documented to refuse."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fake_neuron.machine import compiled_file, neuron_home
from tests.processes import line, until_killed

Shapes = list[tuple[tuple[int, ...], str]]
RELU: list[tuple[str, list[Any]]] = [("aten::relu", [])]
PROGRAM = """
import os, sys, io, zipfile
target, path, when = sys.argv[1:]
try:
    import torch
    if when != "never":
        __import__("torch_neuron" if target == "inf1" else "torch_neuronx")
    if when == "late":
        os.environ["NEURON_RT_VISIBLE_CORES"] = "0"
    model = torch.jit.load(io.BytesIO(zipfile.ZipFile(path).read("0.pt")))
    print("loaded", flush=True)
    shapes = eval(sys.stdin.readline() or "[]")
    if shapes:
        import numpy
        model(*(torch.from_numpy(numpy.zeros(s, t)) for s, t in shapes))
        print("ran", flush=True)
except RuntimeError as error:
    print(error, flush=True)
"""


@contextmanager
def program(
    home: Path, target: str, path: Path, *, cores: str | None = None, when: str = "early"
) -> Iterator[subprocess.Popen[str]]:
    """A process that loads the model and then waits for shapes to run it on."""
    settings = {"PYTHONPATH": str(next(home.glob("lib/*/site-packages")))}
    if cores is not None:
        settings["NEURON_RT_VISIBLE_CORES"] = cores
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, target, str(path), when],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **settings},
        text=True,
    )
    with until_killed(process):
        yield process


def told_to_run(process: subprocess.Popen[str], shapes: Shapes) -> str:
    assert process.stdin is not None
    process.stdin.write(f"{shapes}\n")
    process.stdin.flush()
    return line(process)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return neuron_home(tmp_path / "neuron", "inf1", cores=4)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return compiled_file(tmp_path / "m", "inf1", [("aten::relu", [])], [([(2, 3)], [(2, 3)])])


def test_a_core_belongs_to_one_process_until_it_ends(home: Path, model: Path) -> None:
    with program(home, "inf1", model, cores="0-1") as first:
        assert line(first) == "loaded"
        with program(home, "inf1", model, cores="1-2") as second:
            assert "core 1 is in use" in line(second)
        with program(home, "inf1", model, cores="2-3") as third:
            assert line(third) == "loaded"
        first.send_signal(signal.SIGKILL)
        first.wait()
        with program(home, "inf1", model, cores="1-2") as fourth:
            assert line(fourth) == "loaded"


@pytest.mark.parametrize("when", ["early", "late"])
def test_a_process_takes_all_cores_unless_told_before_the_import(
    home: Path, model: Path, when: str
) -> None:
    with program(home, "inf1", model, when=when) as first:
        assert line(first) == "loaded"
        with program(home, "inf1", model, cores="3") as second:
            assert "core 3 is in use" in line(second)


@pytest.mark.parametrize("cores", ["4", "2-4", "3-2", "0,1", ""])
def test_cores_that_are_not_there_are_refused(home: Path, model: Path, cores: str) -> None:
    with program(home, "inf1", model, cores=cores) as process:
        assert line(process).startswith(f"NRT: NEURON_RT_VISIBLE_CORES={cores}")


def test_a_model_of_another_architecture_is_refused(home: Path, tmp_path: Path) -> None:
    other = compiled_file(tmp_path / "o", "inf2", [("aten::relu", [])], [([(1, 3)], [(1, 3)])])
    with program(home, "inf1", other, cores="0") as process:
        assert line(process) == "NRT: the NEFF is for inf2, this device is inf1."


def test_a_pipeline_needs_its_cores(home: Path, tmp_path: Path) -> None:
    shapes: list[tuple[list[tuple[int, ...]], list[tuple[int, ...]]]] = [([(1, 3)], [(1, 3)])]
    model = compiled_file(tmp_path / "p", "inf1", RELU, shapes, cores=3, is_pipeline=True)
    with program(home, "inf1", model, cores="0-1") as process:
        assert "needs 3 contiguous cores, 2 are visible" in line(process)
    with program(home, "inf1", model, cores="1-3") as process:
        assert line(process) == "loaded"


def test_without_the_framework_a_compiled_model_is_unknown(home: Path, model: Path) -> None:
    with program(home, "inf1", model, cores="0", when="never") as process:
        assert "Unknown builtin op" in line(process)


@pytest.mark.parametrize(
    ("is_dynamic", "shapes", "answer"),
    [
        (False, [((2, 3), "float32")], "ran"),
        (False, [((1, 3), "float32")], "Incorrect tensor shape"),
        (False, [((2, 4), "float32")], "Incorrect tensor shape"),
        (False, [((2, 3), "float64")], "Incorrect tensor type"),
        (True, [((7, 3), "float32")], "ran"),
        (True, [((7, 4), "float32")], "Incorrect tensor shape"),
    ],
)
def test_shapes_are_those_compiled_but_for_a_dynamic_batch(
    home: Path,
    tmp_path: Path,
    is_dynamic: bool,  # noqa: FBT001 - a parameter of the test
    shapes: Shapes,
    answer: str,
) -> None:
    compiled = [([(2, 3)], [(2, 3)])]
    model = compiled_file(tmp_path / "s", "inf1", RELU, compiled, is_dynamic=is_dynamic)
    with program(home, "inf1", model, cores="0") as process:
        assert line(process) == "loaded"
        assert told_to_run(process, shapes).startswith(answer)


def test_inputs_of_a_dynamic_batch_have_the_same_length(home: Path, tmp_path: Path) -> None:
    shapes = [([(1, 3), (1, 3)], [(1, 3)])]
    model = compiled_file(tmp_path / "t", "inf1", [("aten::add", [])], shapes, is_dynamic=True)
    with program(home, "inf1", model, cores="0") as process:
        assert line(process) == "loaded"
        uneven: Shapes = [((2, 3), "float32"), ((1, 3), "float32")]
        assert told_to_run(process, uneven).startswith("Inconsistent batch sizes")
