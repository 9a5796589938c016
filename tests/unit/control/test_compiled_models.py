"""Compiled models in the control plane: what they say, and where they may run."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from hookline.adapters.aws.services import definition_name
from hookline.core.ports import Group
from tests.unit.control.content import deployed, filled_volume, imported, uploaded
from tests.unit.control.events import Plane

TENSORS = {
    "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 3]}],
    "outputs": [{"name": "y", "dtype": "float32", "shape": [-1, 2]}],
}


def archive(name: str = "neuron.json") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(name, "{}")
    return packed.getvalue()


def compiled(plane: Plane, **fields: Any) -> dict[str, Any]:
    told = {"target": "inf2", "cores": 2, "precision": "bf16", "on_cpu": {"aten::sort": 1}}
    told |= fields
    return imported(plane, archive(), format="neuron", compilation=told, **TENSORS)


def refused(plane: Plane, **fields: Any) -> str:
    answer = plane("POST", "/v1/streams", fields)
    assert answer.status == 422, answer.body
    return f"{answer.body['title']} {answer.body.get('detail', '')} {answer.body.get('hint', '')}"


def test_a_compiled_model_says_what_it_is_for(plane: Plane) -> None:
    source = imported(plane)
    model = compiled(plane, model_id=source["id"])
    assert model["compilation"] == {
        "target": "inf2",
        "cores": 2,
        "is_pipeline": False,
        "precision": "bf16",
        "compiler": "",
        "model_id": source["id"],
        "on_cpu": {"aten::sort": 1},
    }


def test_it_is_deployed_on_the_device_that_it_was_compiled_for(plane: Plane) -> None:
    model_id = compiled(plane)["id"]
    stream = deployed(plane, model_id=model_id)
    assert (stream["device"], stream["gpus"]) == ("inf2", 0)
    assert deployed(plane, model_id=model_id, device="inf2", gpus=4)["gpus"] == 4


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"device": "inf1"}, "compiled for inf2 and runs on no inf1"),
        ({"device": "cpu"}, "compiled for inf2 and runs on no cpu"),
        ({"gpus": 3}, "3 NeuronCores cannot be shared out to processes of 2"),
        ({"gpus": 65}, "gpus"),
    ],
)
def test_elsewhere_it_is_refused(plane: Plane, fields: dict[str, Any], words: str) -> None:
    assert words in refused(plane, model_id=compiled(plane)["id"], **fields)


def test_a_model_that_is_not_compiled_is_told_the_command(plane: Plane) -> None:
    model_id = imported(plane)["id"]
    told = refused(plane, model_id=model_id, device="inf1")
    assert f"hookline model compile {model_id} --target inf1" in told


def test_jobs_and_triggers_run_on_no_neuroncore(plane: Plane) -> None:
    model_id, volume_id = compiled(plane)["id"], filled_volume(plane)
    body = {"model_id": model_id}
    job = plane("POST", "/v1/batches", body | {"volume_id": volume_id})
    trigger = plane("POST", f"/v1/volumes/{volume_id}/triggers", body)
    for answer in (job, trigger):
        assert answer.status == 422
        assert "jobs do not run there" in answer.body["title"]


def test_a_job_that_asks_for_neuroncores_is_not_sent_to_the_compiler(plane: Plane) -> None:
    model_id, volume_id = imported(plane)["id"], filled_volume(plane)
    body = {"model_id": model_id, "device": "inf2"}
    job = plane("POST", "/v1/batches", body | {"volume_id": volume_id})
    trigger = plane("POST", f"/v1/volumes/{volume_id}/triggers", body)
    for answer in (job, trigger):
        assert answer.status == 422
        assert answer.body["title"] == "Jobs and triggers do not run on inf2."
        assert "cpu" in answer.body["hint"]


@pytest.mark.parametrize(
    "body",
    [
        {"format": "neuron", **TENSORS},
        {"format": "torchscript", "compilation": {"target": "inf2"}, **TENSORS},
        {"format": "neuron", "compilation": {"target": "inf3"}, **TENSORS},
        {"format": "neuron", "compilation": {"target": "inf2", "model_id": 99}, **TENSORS},
    ],
)
def test_a_compilation_that_cannot_be_is_refused(plane: Plane, body: dict[str, Any]) -> None:
    digest = uploaded(plane, archive())
    answer = plane("POST", "/v1/models", {"name": "m", "sha256": digest, **body})
    assert answer.status in (404, 422)


def test_the_file_of_a_model_can_be_fetched(plane: Plane) -> None:
    model = imported(plane)
    found = plane.shown(f"/v1/models/{model['id']}/file")
    assert (found["sha256"], found["size_bytes"]) == (model["sha256"], model["size_bytes"])
    assert found["request"]["method"] == "GET"
    assert plane("GET", "/v1/models/99/file").status == 404


def test_a_neuron_task_has_its_machine_however_many_cores_are_asked_for() -> None:
    group = Group("a", "stream-1", "stream", 1, device="inf2", gpus=4)
    assert definition_name(group) == "stream-inf2"
    assert definition_name(Group("a", "s", "stream", 1, device="gpu", gpus=4)) == "stream-gpu-4"
