"""Triton's gRPC client talks to a replica."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests import onnx_models
from tests.e2e.cloud import BIN, WAIT_S

HOOKS = """
def preprocess(input, model):
    return input

def predict(data, model):
    if data == b"bad":
        raise ValueError("this one is bad")
    return data.upper()

def postprocess(output, raw_input):
    return output
"""


@dataclass(frozen=True)
class Served:
    """A `hookline serve`."""

    client: triton.InferenceServerClient
    process: subprocess.Popen[str]
    headers: dict[str, str]


@contextmanager
def served(model: Path, *flags: str) -> Iterator[Served]:
    """A replica that speaks gRPC, and a client of it."""
    command = [
        str(BIN / "hookline"),
        "serve",
        str(model),
        "--port",
        "0",
        "--grpc-port",
        "0",
        *flags,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        port, token = _announced(process)
        with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
            yield Served(client, process, {"authorization": f"Bearer {token}"})
    finally:
        process.kill()  # its child dies with it
        process.communicate()


def _announced(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The port of gRPC and the token, which the server tells when it is ready."""
    port, lines = 0, []
    assert process.stderr
    for line in process.stderr:
        lines.append(line)
        if line.startswith("{") and json.loads(line)["event"] == "grpc_ready":
            port = json.loads(line)["port"]
        if "/predict" in line:
            return port, line.partition("Bearer ")[2].partition("'")[0]
    raise AssertionError("".join(lines))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    model = onnx_models.two_in_two_out(tmp_path_factory.mktemp("model") / "two.onnx")
    with served(model) as found:
        yield found


def tensors(**rows: Any) -> list[triton.InferInput]:
    found = []
    for name, values in rows.items():
        array = np.array(values, np.float32)
        given = triton.InferInput(name, list(array.shape), "FP32")
        found.append(given.set_data_from_numpy(array))
    return found


def test_a_replica_and_its_model_are_described(two: Served) -> None:
    client, headers = two.client, two.headers
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("two", headers=headers)
    assert client.get_server_metadata(as_json=True)["name"] == "hookline"
    model = client.get_model_metadata("two", headers=headers, as_json=True)
    assert (model["name"], model["versions"], model["platform"]) == ("two", ["1"], "onnx_onnxv1")
    assert model["inputs"][0] == {"name": "a", "datatype": "FP32", "shape": ["-1", "2"]}


def test_rows_of_several_inputs_are_inferred(two: Served) -> None:
    given = tensors(a=[[5, 6], [7, 8]], b=[[1, 2], [3, 4]])
    answer = two.client.infer("two", given, request_id="r-1", headers=two.headers)
    assert answer.as_numpy("total").tolist() == [[6, 8], [10, 12]]
    assert answer.as_numpy("difference").tolist() == [[4, 4], [4, 4]]
    assert (answer.get_response().id, answer.get_response().model_version) == ("r-1", "1")


def test_outputs_are_chosen_and_classified(two: Served) -> None:
    wanted = [triton.InferRequestedOutput("total", class_count=1)]
    given = tensors(a=[[5, 9]], b=[[1, 2]])
    answer = two.client.infer("two", given, outputs=wanted, headers=two.headers)
    assert answer.as_numpy("total").tolist() == [[b"11.000000:1"]]
    assert answer.as_numpy("difference") is None


@pytest.mark.parametrize(
    ("model", "rows", "status", "sentence"),
    [
        ("other", {"a": [[1, 2]], "b": [[1, 2]]}, "NOT_FOUND", "There is no model 'other' here"),
        ("two", {"a": [[1, 2]]}, "INVALID_ARGUMENT", "The model takes a, b"),
        ("two", {"a": [[1]], "b": [[1]]}, "INVALID_ARGUMENT", "has the shape"),
    ],
)
def test_what_is_wrong_is_a_status_and_a_sentence(
    two: Served, model: str, rows: dict[str, Any], status: str, sentence: str
) -> None:
    with pytest.raises(InferenceServerException, match=sentence) as caught:
        two.client.infer(model, tensors(**rows), headers=two.headers)
    assert caught.value.status() == f"StatusCode.{status}"


def test_nobody_is_let_in_without_the_token(two: Served) -> None:
    given = tensors(a=[[5, 6]], b=[[1, 2]])
    for headers in ({}, {"authorization": "Bearer wrong"}):
        with pytest.raises(InferenceServerException, match="token is missing or wrong") as caught:
            two.client.infer("two", given, headers=headers)
        assert caught.value.status() == "StatusCode.UNAUTHENTICATED"


def test_a_sequence_is_refused(two: Served) -> None:
    given = tensors(a=[[5, 6]], b=[[1, 2]])
    with pytest.raises(InferenceServerException, match="there are no sequences"):
        two.client.infer("two", given, sequence_id=7, headers=two.headers)


def test_requests_on_one_stream_are_answered_in_order(two: Served) -> None:
    answers: SimpleQueue[tuple[Any, Any]] = SimpleQueue()
    two.client.start_stream(lambda result, error: answers.put((result, error)), headers=two.headers)
    two.client.async_stream_infer("two", tensors(a=[[1, 1]], b=[[1, 1]]))
    two.client.async_stream_infer("other", tensors(a=[[1, 1]], b=[[1, 1]]))
    two.client.async_stream_infer("two", tensors(a=[[2, 2]], b=[[1, 1]]))
    first, second, third = (answers.get(timeout=WAIT_S) for _ in range(3))
    two.client.stop_stream()
    assert first[0].as_numpy("total").tolist() == [[2, 2]]
    assert "There is no model 'other' here" in str(second[1])
    assert third[0].as_numpy("total").tolist() == [[3, 3]]


def test_hooks_take_files_and_give_answers(tmp_path: Path) -> None:
    hooks = tmp_path / "inference.py"
    hooks.write_text(HOOKS)
    model = onnx_models.identity(tmp_path / "m.onnx")
    with served(model, "--hooks", str(hooks), "--name", "loud", "--no-auth") as found:
        described = found.client.get_model_metadata("loud", as_json=True)
        assert described["inputs"] == [{"name": "input", "datatype": "BYTES", "shape": ["-1", "1"]}]
        given = triton.InferInput("input", [2, 1], "BYTES")
        given.set_data_from_numpy(np.array([[b"a"], [b"b"]], object))
        answer = found.client.infer("loud", [given])
        assert answer.as_numpy("output").tolist() == [[b"A"], [b"B"]]
        given.set_data_from_numpy(np.array([[b"a"], [b"bad"]], object))
        with pytest.raises(InferenceServerException, match="Row 2 failed: The predict hook raised"):
            found.client.infer("loud", [given])


def test_a_replica_that_is_told_to_stop_drains(tmp_path: Path) -> None:
    with served(onnx_models.identity(tmp_path / "m.onnx"), "--no-auth") as found:
        assert found.client.is_server_ready()
        found.process.send_signal(signal.SIGTERM)
        assert found.process.wait(WAIT_S) == 0


def test_without_the_extra_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    blocked = tmp_path / "without"
    (blocked / "grpc").mkdir(parents=True)
    (blocked / "grpc" / "__init__.py").write_text(
        "raise ModuleNotFoundError('No module named grpc', name='grpc')"
    )
    model = onnx_models.identity(tmp_path / "m.onnx")
    done = subprocess.run(
        [sys.executable, BIN / "hookline", "serve", model, "--grpc-port", "0", "--port", "0"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(blocked)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'hookline[grpc]'" in done.stderr
