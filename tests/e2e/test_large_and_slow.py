"""Predictions that do not fit into one request: the command line gets them all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.cloud import Cloud, until

HOOKS = """
def preprocess(input, model):
    return input

def predict(data, model):
    return b"a" * int(data[5:]) if data.startswith(b"size ") else str(len(data))

def postprocess(output, raw_input):
    return output
"""
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def stream(cloud: Cloud, model_id: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    hooks = tmp_path_factory.mktemp("hooks") / "inference.py"
    hooks.write_text(HOOKS)
    return cloud.ask("model", "deploy", model_id, "-f", str(hooks), "--wait")


def test_a_body_over_ten_megabytes_is_predicted(cloud: Cloud, stream: Any, tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    file.write_bytes(b"x" * (20 * MEGABYTE))
    done = cloud.run("stream", "predict", stream["presigned_token"], str(file))
    assert done.stdout == f"{20 * MEGABYTE}\n"


def test_a_large_answer_that_is_deferred_is_fetched_from_its_link(
    cloud: Cloud, stream: Any
) -> None:
    headers = {
        "Authorization": f"Bearer {stream['presigned_token']}",
        "Prefer": "respond-async",
    }
    with httpx2.Client(base_url=cloud.endpoint) as client:
        url = "/predict"
        first = client.post(url, content=f"size {6 * MEGABYTE}".encode(), headers=headers)
        assert first.status_code == 202
        location = first.headers["location"]

        def answered() -> httpx2.Response | None:
            seen = client.get(location, headers=headers)
            return seen if seen.status_code != 202 else None

        found = until(answered)
        assert found.status_code == 303
        assert client.get(found.headers["location"]).content == b"a" * (6 * MEGABYTE)


def test_anyone_sends_a_body_by_reference(cloud: Cloud, stream: Any) -> None:
    headers = {"Authorization": f"Bearer {stream['presigned_token']}"}
    with httpx2.Client(base_url=cloud.endpoint, headers=headers) as client:
        lent = client.post("/predict/uploads", json={"size_bytes": 7}).json()
        put = lent["request"]
        sent = httpx2.put(f"{cloud.endpoint}{put['url']}", content=b"1234567")
        assert sent.status_code == 200
        again = httpx2.put(f"{cloud.endpoint}{put['url']}", content=b"12345678")
        assert again.is_error
        answer = client.post("/predict", headers={"Body-Reference": lent["reference"]})
        assert answer.text == "7"
