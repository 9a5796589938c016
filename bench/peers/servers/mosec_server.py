"""mosec, as its interface reference has it: `append_worker(num, max_batch_size, max_wait_time)`.

https://mosecorg.github.io/mosec/reference/interface.html. A process per core; batches of up to 64
where the network gains from them, with the shortest wait there is, else none.
"""

from __future__ import annotations

import os

from mosec import Server, Worker

from bench.work import Work, encoded


class Inference(Worker):
    def __init__(self) -> None:
        super().__init__()
        self.work = Work.told()

    def deserialize(self, data: bytes) -> bytes:
        return data

    def serialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: bytes) -> bytes:
        return encoded(self.work.one(data))


class Batched(Inference):
    def forward(self, data: list[bytes]) -> list[bytes]:
        return [encoded(answer) for answer in self.work.many(data)]


if __name__ == "__main__":
    server = Server()
    if os.environ.get("BENCH_BATCH"):
        server.append_worker(Batched, num=2, max_batch_size=64, max_wait_time=1)
    else:
        server.append_worker(Inference, num=2)
    server.run()
