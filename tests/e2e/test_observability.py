"""What a real cloud tells of itself while it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.cloud import Cloud, digit_files, until
from tests.prometheus import labels, parsed

HOOKS = """
import logging

def preprocess(input, model):
    logging.getLogger("hooks").warning("seen")
    if input == b"bad":
        raise ValueError("this one is bad")
    return [[0.0] * 64]

def postprocess(output, raw_input):
    return "ok"
"""


def test_a_request_is_followed_through_the_cloud(
    cloud: Cloud, model_id: str, tmp_path: Path
) -> None:
    hooks = tmp_path / "inference.py"
    hooks.write_text(HOOKS)
    stream = cloud.ask("model", "deploy", model_id, "-f", str(hooks), "--wait")
    headers = {"Authorization": f"Bearer {stream['presigned_token']}", "X-Request-Timing": "1"}

    def post(body: bytes, request_id: str) -> httpx2.Response:
        url = f"{cloud.endpoint}/predict"
        return httpx2.post(url, content=body, headers={**headers, "X-Request-Id": request_id})

    failed = post(b"bad", "r-bad")
    assert failed.headers["x-request-id"] == failed.json()["request_id"] == "r-bad"
    assert "preprocess;dur=" in failed.headers["server-timing"]
    assert "gateway;dur=" in failed.headers["server-timing"]

    def logged() -> list[dict[str, Any]]:
        lines = cloud.run("stream", "logs", str(stream["id"])).stdout.splitlines()
        events = [json.loads(line[line.index("{") :]) for line in lines if "{" in line]
        return [event for event in events if event.get("request_id") == "r-bad"]

    until(lambda: {event["event"] for event in logged()} == {"seen", "request_failed"})


def test_traffic_is_seen_by_a_watcher_and_by_prometheus(cloud: Cloud, model_id: str) -> None:
    stream = cloud.ask("model", "deploy", model_id, "--wait")
    body, id_ = digit_files()[0].read_bytes(), str(stream["id"])

    def look() -> dict[str, Any] | None:
        for _ in range(5):
            assert cloud.predict(stream["presigned_token"], body).status_code == 200
        options = ("--watch", "--times", "1", "-o", "jsonl")
        found: dict[str, Any] = json.loads(cloud.run("stream", "show", id_, *options).stdout)
        return found if found["requests_per_s"] else None

    seen = until(look)
    assert seen["failed_per_s"] == 0
    assert 0 < seen["p50_ms"] <= seen["p99_ms"]
    assert seen["batch_items"] >= 1
    assert seen["ready_replicas"] == 1

    url = f"{cloud.endpoint}/metrics"
    assert httpx2.get(url).status_code == 401
    key = cloud.ask("key", "create")["key"]
    text = httpx2.get(url, headers={"Authorization": f"Bearer {key}"}).text
    counts = parsed(text)["hookline_stream_requests_total"]
    assert counts[labels(tenant="default", stream=id_, status="200")] >= 5
