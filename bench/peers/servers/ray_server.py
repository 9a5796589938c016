"""Ray Serve with a replica per core: https://docs.ray.io/en/latest/serve/configure-serve-deployment.html.

The numbers are batched by `@serve.batch`
(https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html).
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from bench.work import PHOTOGRAPHS, Work

NAMES = ("BENCH_WORKLOAD", "BENCH_MODEL")


@serve.deployment(num_replicas=2, max_ongoing_requests=100)
class Bench:
    def __init__(self) -> None:
        self.work = Work.told()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001)
    async def many(self, bodies: list[bytes]) -> list[dict[str, Any]]:
        return self.work.many(bodies)

    async def __call__(self, request: Request) -> dict[str, Any]:
        body = await request.body()
        if os.environ["BENCH_WORKLOAD"] in PHOTOGRAPHS:
            return self.work.one(body)
        return await self.many(body)


if __name__ == "__main__":
    told = {name: os.environ[name] for name in NAMES} | {"PYTHONPATH": os.environ["PYTHONPATH"]}
    ray.init(num_cpus=4, include_dashboard=False, runtime_env={"env_vars": told})
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Bench.bind(), route_prefix="/predict")
    threading.Event().wait()
