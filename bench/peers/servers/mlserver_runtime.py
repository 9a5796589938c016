"""MLServer, a custom runtime with two inference workers and, for numbers, adaptive batching.

https://docs.seldon.ai/mlserver/user-guide/parallel-inference (parallel_workers) and
https://docs.seldon.ai/mlserver/user-guide/adaptive-batching (max_batch_size, max_batch_time).
Photographs are BYTES in base64, its codec for binary data.
"""

from __future__ import annotations

import os

import numpy as np
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from bench.work import PHOTOGRAPHS, Work


class Runtime(MLModel):
    async def load(self) -> bool:
        self.work = Work.told()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        if os.environ["BENCH_WORKLOAD"] in PHOTOGRAPHS:
            (body,) = Base64Codec.decode_input(payload.inputs[0])
            outputs = np.array([self.work.one(body)["index"]])
        else:
            outputs = self.work.outputs(NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("y", outputs)]
        )
