"""BentoML with a worker per core: https://docs.bentoml.com/en/latest/guides/workers.html.

The numbers are batched adaptively, as
https://docs.bentoml.com/en/latest/guides/adaptive-batching.html says; photographs are files.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import bentoml

from bench.work import PHOTOGRAPHS, Work


@bentoml.service(workers=2, traffic={"timeout": 60})
class Bench:
    def __init__(self) -> None:
        self.work = Work.told()

    if os.environ["BENCH_WORKLOAD"] in PHOTOGRAPHS:

        @bentoml.api(route="/predict")
        def predict(self, file: Path) -> dict[str, Any]:
            return self.work.one(file.read_bytes())

    else:

        @bentoml.api(route="/predict", batchable=True, max_batch_size=64, max_latency_ms=1000)
        def predict(self, rows: list[list[float]]) -> list[dict[str, Any]]:
            return self.work.many([json.dumps(row).encode() for row in rows])
