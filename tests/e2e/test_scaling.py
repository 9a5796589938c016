"""Replicas follow the load on a real cloud, to none and back."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cloud import DIGITS, Cloud, until

# The window is minutes; what it is follows from the simulation in tests/unit/control.
SHORT_WINDOW = (
    "from hookline.control import scaling\n"
    "scaling.DOWN_S = 3.0\n"
    "from hookline.cli.start import hookline\n"
    "hookline()\n"
)
IMAGE = DIGITS / "images" / "000.png"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("cloud")
    program = folder / "hookline"
    program.write_text(f"#!{sys.executable}\n{SHORT_WINDOW}")
    program.chmod(0o755)
    started = Cloud(folder / "home")
    done = started.run("up", "--port", "0", "-d", program=str(program))
    started.endpoint = done.stdout.strip()
    try:
        yield started
        started.down()
        assert started.processes() == []
    finally:
        started.kill()


def shown(cloud: Cloud, stream: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = cloud.ask("stream", "show", str(stream["id"]))
    return found


def test_replicas_follow_the_load_to_none_and_back(
    cloud: Cloud, model_id: str, tmp_path: Path
) -> None:
    slow = tmp_path / "inference.py"
    slow.write_text(
        "import time\ndef postprocess(output, raw_input):\n    time.sleep(0.5)\n    return 'ok'\n"
    )
    options = ("--min", "0", "--max", "3", "--target-in-flight", "2", "-f", str(slow), "--wait")
    stream = cloud.ask("model", "deploy", model_id, *options)
    token, body, enough = stream["presigned_token"], IMAGE.read_bytes(), threading.Event()

    def ask() -> set[int]:
        statuses = set()
        while not enough.is_set():
            statuses.add(cloud.predict(token, body).status_code)
        return statuses

    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(ask) for _ in range(6)]
        try:
            until(lambda: shown(cloud, stream)["ready_replicas"] == 3)
        finally:
            enough.set()
        assert set[int]().union(*(one.result() for one in asking)) == {200}

    until(lambda: is_asleep(cloud, stream), 110)
    asleep = shown(cloud, stream)
    assert (asleep["status"], asleep["replicas"]) == ("Running", 0)
    woken = cloud.predict(token, body)
    assert (woken.status_code, woken.text.strip('"')) == (200, "ok")
    assert shown(cloud, stream)["ready_replicas"] == 1


def is_asleep(cloud: Cloud, stream: dict[str, Any]) -> bool:
    return bool(shown(cloud, stream)["ready_replicas"] == 0)
