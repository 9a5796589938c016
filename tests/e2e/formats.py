"""Take a model through the whole cloud: imported, served, and predicted in a batch."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.e2e.cloud import Cloud

Array = np.ndarray[Any, Any]
LONG_S = 1500.0  # an environment may have to be built


@dataclass(frozen=True)
class Journey:
    """The model's record, what import said, and what a stream and a job answered."""

    model: dict[str, Any]
    said: str
    served: Any
    batched: Any


def journey(cloud: Cloud, place: Path, example: Array, *flags: str, folder: Path) -> Journey:
    """Import `place`, ask a stream for `example` and have a job predict a file of it."""
    done = cloud.run(
        "model", "import", str(place), "--name", "m", "-o", "json", *flags, timeout_s=LONG_S
    )
    model = json.loads(done.stdout)
    shown = cloud.ask("model", "show", str(model["id"]))
    stream = cloud.ask("model", "deploy", str(model["id"]), "--wait", "--timeout", "300")
    body = json.dumps(example.tolist()).encode()
    answer = cloud.predict(stream["presigned_token"], body, "application/json")
    assert answer.status_code == 200, answer.text
    cloud.run("stream", "undeploy", str(stream["id"]))
    files = folder / "examples"
    files.mkdir()
    (files / "a.json").write_bytes(body)
    volume = cloud.ask("volume", "upload", str(files))
    job = cloud.ask("batch", "predict", str(model["id"]), str(volume["id"]), "--wait")
    assert job["status"] == "Completed", job
    results = cloud.run("batch", "results", str(job["id"])).stdout
    (row,) = list(csv.reader(results.splitlines()))[-1:]
    return Journey(shown, done.stderr, answer.json(), json.loads(row[1]))


def outputs(answer: Any) -> Array:
    """The numbers of a raw answer of one output, flat."""
    return np.array(answer["outputs"], dtype=np.float64).ravel()
