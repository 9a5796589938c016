"""The seed's --custom-code-url and --custom-code-commit, wherever a model is to answer."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_api import FakeApi

URL = "https://github.com/owner/layers.git"
COMMANDS = {
    "model deploy 2": "/v1/streams",
    "batch predict 2 56": "/v1/batches",
    "volume watch 56 --model 2": "/v1/volumes/56/triggers",
}


@pytest.fixture
def filled(api: FakeApi) -> FakeApi:
    api.models[2] = {"id": 2, "name": "m", "format": "onnx", "status": "Ready"}
    api.volumes[56] = {"id": 56, "name": "tiny"}
    return api


@pytest.mark.parametrize("line", COMMANDS)
def test_a_repository_and_its_commit_are_sent(line: str, filled: FakeApi, ncloud: Call) -> None:
    answer = ncloud(f"{line} --custom-code-url {URL} --custom-code-commit v1")

    assert answer.exit_code == 0, answer.stderr
    (request,) = filled.calls("POST", COMMANDS[line])
    assert json.loads(request.content)["custom_code"] == {"url": URL, "commit": "v1"}


def test_the_commit_may_be_left_out(filled: FakeApi, hookline: Call) -> None:
    deployed = hookline("model", "deploy", "2", "--custom-code-url", URL)

    assert deployed.exit_code == 0
    assert filled.streams[1]["custom_code"] == {"url": URL}
    shown = json.loads(hookline("stream", "show", "1", "-o", "json").stdout)
    assert shown["custom_code"] == {"url": URL, "commit": ""}


def test_a_commit_of_no_repository_is_refused(filled: FakeApi, hookline: Call) -> None:
    answer = hookline("model", "deploy", "2", "--custom-code-commit", "main")

    assert answer.exit_code == 2
    assert "--custom-code-commit needs --custom-code-url" in answer.stderr
    assert filled.streams == {}
