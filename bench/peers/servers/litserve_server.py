"""LitServe with a worker per core: https://lightning.ai/docs/litserve/features/parallel-inference.

Photographs come as files of a form, the other bodies as JSON: raw bodies it does not take.
"""

import json
import os
import sys
from typing import Any

import litserve
from fastapi import Request

from bench.work import PHOTOGRAPHS, Work


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002 - its signature
        self.work = Work.told()

    def decode_request(self, request: Request) -> bytes:  # it looks at the type
        if os.environ["BENCH_WORKLOAD"] in PHOTOGRAPHS:
            return request["file"].file.read()
        return json.dumps(request).encode()

    def predict(self, x: bytes) -> dict[str, Any]:
        return self.work.one(x)

    def encode_response(self, output: dict[str, Any]):  # noqa: ANN201 - it looks at the type
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
