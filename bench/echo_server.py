"""The least an HTTP server in Python can do: httptools on a bare Protocol, the model inline.

No routes, limits, timeouts, auth or batches: the limit that a real server is measured against.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import httptools
import onnxruntime
import uvloop

from bench.workloads import Workload, all_of_them


class _Echo(asyncio.Protocol):
    def __init__(self, session: onnxruntime.InferenceSession, workload: Workload) -> None:
        self.session, self.workload = session, workload

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        x, self.body = self.workload.decode(self.body), b""
        (outputs,) = self.session.run(None, {"x": x})
        answer = self.workload.encode(outputs[0])
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % len(answer) + answer)


async def main(name: str, model: str, port: int) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    workload = all_of_them()[name]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Echo(session, workload), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
