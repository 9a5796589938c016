"""The metadata endpoint that ECS gives to each container, over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTAINER = "cd189a933e5849daa93386466019ab50-2495160603"


def metadata(task_arn: str, cluster: str, *, cpus: float | None = 0.25) -> dict[str, Any]:
    """What Fargate answers on /task (task metadata endpoint V4, JSON response for Fargate).

    There is no ServiceName on Fargate; `cpus` None: the task has no limits.
    """
    limits = {} if cpus is None else {"Limits": {"CPU": cpus, "Memory": 512}}
    return limits | {
        "Cluster": cluster,
        "TaskARN": task_arn,
        "Family": "stream-cpu",
        "Revision": "7",
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "PullStartedAt": "2026-01-01T00:00:00.000000000Z",
        "PullStoppedAt": "2026-01-01T00:00:01.000000000Z",
        "AvailabilityZone": "eu-central-1a",
        "LaunchType": "FARGATE",
        "Containers": [
            {
                "DockerId": CONTAINER,
                "Name": "runtime",
                "DesiredStatus": "RUNNING",
                "KnownStatus": "RUNNING",
                "Limits": {"CPU": 2},
                "Type": "NORMAL",
                "LogDriver": "awslogs",
            }
        ],
        "ClockDrift": {"ClockErrorBound": 0.5, "ClockSynchronizationStatus": "SYNCHRONIZED"},
    }


@contextmanager
def agent(answer: object) -> Iterator[str]:
    """The value of ECS_CONTAINER_METADATA_URI_V4 while /task answers with `answer`."""
    path = f"/v4/{CONTAINER}"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answer).encode()
            self.send_response(200 if self.path == f"{path}/task" else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests print enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{path}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
