"""An endpoint of AWS that throttles before it passes on what it is asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

_OF_THE_HOP = {"connection", "content-length", "transfer-encoding", "content-encoding"}


@contextmanager
def throttled(endpoint: str, *, refusals: int) -> Iterator[tuple[str, list[int]]]:
    """The address that passes on to `endpoint`, after so many refusals; and those left to make."""
    left = [503] * refusals

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if left:
                self._send(left.pop(), {}, b"{}")
                return
            passed = {k: v for k, v in self.headers.items() if k.lower() not in _OF_THE_HOP}
            answer = httpx2.request(
                self.command, endpoint + self.path, headers=passed, content=body, timeout=30
            )
            told = {k: v for k, v in answer.headers.items() if k.lower() not in _OF_THE_HOP}
            self._send(answer.status_code, told, answer.content)

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_HEAD = _answer  # noqa: N815 - named by http.server

        def log_message(self, *_: object) -> None:
            """Tests print enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", left
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
