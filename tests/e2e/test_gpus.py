"""GPUs of one machine and the streams that ask for them; hooks answer, so that none is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cloud import Cloud, until

HOOKS = """
import os

def init(prm):
    return object()

def preprocess(input, model):
    return input

def predict(data, model):
    return data

def postprocess(output, raw_input):
    return os.environ["CUDA_VISIBLE_DEVICES"]
"""


def answer(cloud: Cloud, stream: dict[str, Any]) -> str:
    return cloud.predict(stream["presigned_token"], b"1", "application/json").text


@pytest.fixture
def hooks(tmp_path: Path) -> str:
    (tmp_path / "inference.py").write_text(HOOKS)
    return str(tmp_path / "inference.py")


@pytest.mark.skipif(any(Path("/dev").glob("nvidia[0-9]*")), reason="This machine has GPUs.")
def test_two_streams_never_share_a_gpu(cloud: Cloud, model_id: str, hooks: str) -> None:
    how = ("model", "deploy", model_id, "-f", hooks, "-g", "1", "--wait")
    first = cloud.ask(*how)
    assert answer(cloud, first) == "0"

    refused = cloud.run(*how, status=8)

    assert "no GPU left for this stream, which asks for 1" in refused.stderr
    assert "Other streams have 1 of the machine's 1" in refused.stderr
    Path(hooks).write_text(HOOKS.replace("return os", "return 'now ' + os"))
    cloud.run("stream", "update", str(first["id"]), "-f", hooks, "--wait")
    until(lambda: answer(cloud, first) == "now 0")  # the new replica has it beside the old one
    cloud.run("stream", "undeploy", str(first["id"]))
