"""What a cloud must do, step by step, by its command line; nothing of it is left behind.

The same steps run on this machine in tests/e2e: they are known to work before they are tried
on an account.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
TRUTH = dict(csv.reader((DIGITS / "truth.csv").read_text().splitlines()))
CLASSIFY = ("--formatter", "classification", "--formatter-args", '{"label": true}')
FILES = sorted((DIGITS / "images").glob("*.png"))
LEAST_RIGHT = 0.95


class CommandLine(Protocol):
    """`hookline`, speaking to one cloud."""

    def run(self, *arguments: str) -> Any:
        """Run a command; the result has `stdout`. Fail when its status is not 0."""

    def ask(self, *arguments: str) -> Any:
        """Run a command and parse its JSON."""


def everything(cloud: CommandLine, *, patience_s: float) -> None:
    """Import, deploy, predict, batch, drop, undeploy. Fail when anything is left."""
    before = left(cloud)
    wait = ("--wait", "--timeout", str(patience_s))
    with ExitStack() as undo:
        model = str(cloud.ask("model", "import", f"{DIGITS}/digits.onnx", "--name", "smoke")["id"])
        undo.callback(cloud.run, "model", "delete", model)
        stream = cloud.ask("model", "deploy", model, *CLASSIFY, *wait)
        undo.callback(_undeploy, cloud, str(stream["id"]), patience_s)
        say(f"stream {stream['id']} runs")
        _predict(cloud, stream["presigned_token"])
        volume = str(cloud.ask("volume", "upload", f"{DIGITS}/images", "--name", "smoke")["id"])
        undo.callback(cloud.run, "volume", "delete", volume)
        _batch(cloud, model, volume, wait)
        _drop(cloud, model, volume, patience_s)
    assert left(cloud) == before
    say("nothing is left")


def left(cloud: CommandLine) -> dict[str, list[int]]:
    """The ids of what costs something while it is there."""
    streams = [one["id"] for one in cloud.ask("stream", "list") if one["status"] != "Undeployed"]
    models, volumes = cloud.ask("model", "list"), cloud.ask("volume", "list")
    return {
        "streams": streams,
        "models": [one["id"] for one in models],
        "volumes": [one["id"] for one in volumes],
    }


def _predict(cloud: CommandLine, token: str) -> None:
    for image in FILES[:3]:
        answer = cloud.run("stream", "predict", token, str(image)).stdout
        assert _label(answer) == TRUTH[image.name]
    say("3 digits predicted")


def _batch(cloud: CommandLine, model: str, volume: str, wait: Sequence[str]) -> None:
    job = cloud.ask("batch", "predict", model, volume, *CLASSIFY, *wait)
    rows = _rows(cloud, job["id"])
    assert sorted(name for name, *_ in rows) == [file.name for file in FILES]
    right = sum(_label(output) == TRUTH[name] for name, output, *_ in rows)
    assert right >= LEAST_RIGHT * len(rows)
    say(f"job {job['id']}: {right} of {len(rows)} digits right")


def _drop(cloud: CommandLine, model: str, volume: str, patience_s: float) -> None:
    cloud.run("volume", "watch", volume, "--model", model, *CLASSIFY)
    try:
        cloud.run("volume", "upload", f"{DIGITS}/drops", "-i", volume)
        wanted = {file.name for file in (DIGITS / "drops").glob("*.png")}
        jobs = _until(lambda: _jobs(cloud, volume, len(wanted)), patience_s)
        for job in jobs:
            cloud.run("batch", "watch", str(job))
        assert {name for job in jobs for name, *_ in _rows(cloud, job)} == wanted
    finally:
        cloud.run("volume", "unwatch", volume)
    say(f"{len(wanted)} dropped files predicted")


def _jobs(cloud: CommandLine, volume: str, files: int) -> list[int]:
    """The jobs of the files that landed, once there are that many."""
    taken = [row for row in cloud.ask("volume", "triggers", volume, "--history") if row["job_id"]]
    return sorted({row["job_id"] for row in taken}) if len(taken) >= files else []


def _undeploy(cloud: CommandLine, stream: str, patience_s: float) -> None:
    cloud.run("stream", "undeploy", stream)
    _until(lambda: cloud.ask("stream", "show", stream)["status"] == "Undeployed", patience_s)
    say(f"stream {stream} is gone")


def _rows(cloud: CommandLine, job: int) -> list[list[str]]:
    return list(csv.reader(io.StringIO(cloud.run("batch", "results", str(job)).stdout)))


def _label(answer: str) -> str:
    return str(json.loads(answer)["predictions"][0]["label"])


def _until(is_true: Callable[[], Any], patience_s: float) -> Any:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if answer := is_true():
            return answer
        time.sleep(min(2.0, patience_s / 100))
    raise AssertionError("It did not happen in time.")


def say(sentence: str) -> None:
    sys.stderr.write(f"smoke: {sentence}\n")
