"""A replica with several GPUs or groups of NeuronCores: a process for each, behind one socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from hookline.runtime.spec import PipelineSpec, SandboxSpec
from tests.fake_neuron.machine import compiled_file, neuron_home
from tests.replicas import Process, post, read_answer, replica, until

TELL = """
import os

def init(prm):
    return object()

def preprocess(input, model):
    return input

def predict(data, model):
    return data

def postprocess(output, raw_input):
    return f"{os.environ.get('CUDA_VISIBLE_DEVICES', 'all')} {os.getpid()}"
"""
W = np.arange(6, dtype=np.float32).reshape(3, 2)
B = np.ones(2, np.float32)


def asked(running: Process, body: bytes = b"x", *headers: str) -> str:
    with running.connect() as connection:
        connection.sendall(post(body, *headers))
        status, answer = read_answer(connection)
    assert status == 200, answer
    return answer.decode()


def spec(folder: Path, **fields: object) -> PipelineSpec:
    (folder / "code").mkdir(parents=True)
    given = {"model_path": str(folder / "model"), "code_dir": str(folder / "code"), **fields}
    return PipelineSpec(**given)  # type: ignore[arg-type]  # tests give what each field takes


def test_each_gpu_has_a_process_of_its_own_that_sees_no_other(tmp_path: Path) -> None:
    pipeline = spec(tmp_path, device="gpu", gpus=2)
    with replica(tmp_path, TELL, pipeline=pipeline, places=("0", "1")) as running:
        running.wait_ready()
        seen: set[str] = set()

        def have_all_answered() -> bool:
            seen.add(asked(running))
            return len(seen) == 2

        until(have_all_answered, "an answer of each process")
        assert {one.split()[0] for one in seen} == {"0", "1"}
        assert len({one.split()[1] for one in seen}) == 2
        assert running.stop() == 0


def test_one_gpu_needs_no_second_process_and_is_pinned_too(tmp_path: Path) -> None:
    pipeline = spec(tmp_path, device="gpu", gpus=1)
    with replica(tmp_path, TELL, pipeline=pipeline, places=("0",)) as running:
        running.wait_ready()
        assert asked(running) == f"0 {running.popen.pid}"


def test_on_the_cpu_nothing_is_pinned(tmp_path: Path) -> None:
    with replica(tmp_path, TELL, pipeline=spec(tmp_path)) as running:
        running.wait_ready()
        assert asked(running).startswith("all ")


@pytest.mark.parametrize(("target", "mode"), [("inf1", "off"), ("inf2", "off"), ("inf2", "auto")])
def test_each_group_of_cores_has_a_process_of_its_own(
    target: str, mode: Literal["off", "auto"], tmp_path: Path
) -> None:
    home = neuron_home(tmp_path / "neuron", target, cores=4)
    layers = [("aten::linear", [W, B])]
    path = compiled_file(tmp_path / "m", target, layers, [([(1, 3)], [(1, 2)])])
    pipeline = PipelineSpec(
        model_path=str(path), format="neuron", device=target, neuron_home=str(home)
    )
    folder = tmp_path / "replica"
    sandbox = SandboxSpec(mode=mode, writable=(str(home),))
    places = ("0", "1", "2-3")
    with replica(folder, pipeline=pipeline, places=places, sandbox=sandbox) as running:
        running.wait_ready()
        answer = asked(running, b"[1, 2, 4]", "Content-Type: application/json")
        assert np.allclose(json.loads(answer)["outputs"], np.array([1, 2, 4]) @ W + B)
        locks = next(home.glob("lib/*/site-packages/cores"))
        assert sorted(lock.name for lock in locks.iterdir()) == ["0", "1", "2", "3"]
        assert running.stop() == 0


def test_a_model_for_another_device_keeps_all_processes_from_starting(tmp_path: Path) -> None:
    home = neuron_home(tmp_path / "neuron", "inf1", cores=4)
    path = compiled_file(tmp_path / "m", "inf2", [("aten::relu", [])], [([(1, 3)], [(1, 3)])])
    pipeline = PipelineSpec(
        model_path=str(path), format="neuron", device="inf1", neuron_home=str(home)
    )
    folder = tmp_path / "replica"
    with replica(folder, pipeline=pipeline, places=("0", "1")) as running:
        assert running.popen.wait(20) == 3
        failure = json.loads(running.failure_file.read_text())
    assert failure["code"] == "model_load_failed"
    assert "compiled for inf2 and cannot run on inf1" in failure["message"]
