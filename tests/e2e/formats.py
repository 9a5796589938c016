"""Take a model through the whole cloud: imported, served, and predicted in a batch."""

from __future__ import annotations

import csv
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hookline.adapters.machine.environments import find_python, install
from tests.e2e.cloud import Cloud, running

log = logging.getLogger(__name__)
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
    log.info("%s: %s", place.name, shown["conversion"])  # seen with --log-cli-level INFO
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


def made(
    cloud: Cloud, packages: tuple[str, ...], program: str, folder: Path, python: str = ""
) -> None:
    """Run `program` in `folder` with a framework's own packages, which the cloud uses as well."""
    cache = cloud.home / "cache"
    found = find_python(python, cache) if python else ""
    site = install(list(packages), cache, python=found)
    start = f"import sys; sys.path.insert(0, {str(site)!r})\n"
    (folder / "make.py").write_text(start + program)  # a file: some frameworks read their callers
    done = subprocess.run(
        [found or sys.executable, "-I", "-S", "make.py"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=LONG_S,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def kept_cache(home: Path) -> Iterator[Cloud]:
    """A cloud whose environments outlive it in the folder FORMATS_CACHE, if that is set."""
    kept = os.environ.get("FORMATS_CACHE")
    if kept:
        home.mkdir(mode=0o700, parents=True)
        Path(kept).mkdir(parents=True, exist_ok=True)
        (home / "cache").symlink_to(kept)
    with running(home) as cloud:
        yield cloud
