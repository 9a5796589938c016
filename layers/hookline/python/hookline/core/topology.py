"""Which function answers what: the one table behind the AWS stacks and `hookline up`.

A function is a Lambda on AWS and a plain callable locally. `entry` names a callable that takes the
ports and returns the handler: `handler(event, context) -> answer`.
"""

from __future__ import annotations

from dataclasses import dataclass

SHARDS, PLAN, FINISH, DROPS, RECONCILE = "shards", "plan", "finish", "drops", "reconcile"


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue with dead letters. The lease is at least 6 × its function's timeout (AWS's rule)."""

    name: str
    lease_s: int
    max_receives: int = 5


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the HTTP API. `path` is written as API Gateway writes it."""

    method: str
    path: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function and everything that calls it.

    `batch_items` and `batch_window_s` say how many messages of `queue` it takes at once, and how
    long it waits for more. `on_drop`: objects created under volumes reach it through its queue.
    `every_s`: it is also called on a schedule.
    """

    name: str
    entry: str
    routes: tuple[Route, ...] = ()
    queue: str = ""
    batch_items: int = 1
    batch_window_s: int = 0
    on_drop: bool = False
    every_s: int = 0
    is_authorizer: bool = False
    timeout_s: int = 30
    memory_mb: int = 512


def _routes(*lines: str) -> tuple[Route, ...]:
    return tuple(Route(*line.split()) for line in lines)


QUEUES: tuple[QueueSpec, ...] = (
    QueueSpec(PLAN, lease_s=1800),
    QueueSpec(SHARDS, lease_s=15),  # taken by workers, which extend it while they run
    QueueSpec(FINISH, lease_s=1800),
    QueueSpec(DROPS, lease_s=360),
    QueueSpec(RECONCILE, lease_s=360),
)

FUNCTIONS: tuple[Function, ...] = (
    Function("authorizer", "hookline.control.authorizer:build", is_authorizer=True),
    Function(
        "models",
        "hookline.control.models:build",
        routes=_routes(
            "POST /v1/uploads",
            "POST /v1/models",
            "GET /v1/models",
            "GET /v1/models/{model_id}",
            "DELETE /v1/models/{model_id}",
        ),
    ),
    Function(
        "streams",
        "hookline.control.streams:build",
        routes=_routes(
            "POST /v1/streams",
            "GET /v1/streams",
            "GET /v1/streams/{stream_id}",
            "DELETE /v1/streams/{stream_id}",
            "GET /v1/streams/{stream_id}/logs",
            "POST /v1/streams/{stream_id}/tokens",
        ),
    ),
    Function(
        "volumes",
        "hookline.control.volumes:build",
        routes=_routes(
            "POST /v1/volumes",
            "GET /v1/volumes",
            "GET /v1/volumes/{volume_id}",
            "DELETE /v1/volumes/{volume_id}",
            "POST /v1/volumes/{volume_id}/uploads",
            "GET /v1/volumes/{volume_id}/files",
            "POST /v1/volumes/{volume_id}/triggers",
            "DELETE /v1/volumes/{volume_id}/triggers",
            "GET /v1/volumes/{volume_id}/triggers",
            "GET /v1/volumes/{volume_id}/drops",
        ),
    ),
    Function(
        "batches",
        "hookline.control.batches:build",
        routes=_routes(
            "POST /v1/batches",
            "GET /v1/batches",
            "GET /v1/batches/{job_id}",
            "POST /v1/batches/{job_id}/stop",
            "GET /v1/batches/{job_id}/results",
        ),
    ),
    Function(
        "users",
        "hookline.control.users:build",
        routes=_routes(
            "GET /v1/me",
            "POST /v1/users",
            "GET /v1/users",
            "DELETE /v1/users/{name}",
            "POST /v1/keys",
            "GET /v1/keys",
            "DELETE /v1/keys/{key_id}",
        ),
    ),
    Function("api", "hookline.control.openapi:build", routes=_routes("GET /openapi.json")),
    Function("plan", "hookline.batch.plan:build", queue=PLAN, timeout_s=300),
    Function("finish", "hookline.batch.finish:build", queue=FINISH, timeout_s=300, memory_mb=1024),
    Function(
        "drop",
        "hookline.control.drops:build",
        queue=DROPS,
        on_drop=True,
        batch_items=1000,
        batch_window_s=1,
        timeout_s=60,
    ),
    Function(
        "reconcile",
        "hookline.control.reconcile:build",
        queue=RECONCILE,
        batch_items=10,
        every_s=60,
        timeout_s=60,
    ),
)

PUBLIC_ROUTES: frozenset[Route] = frozenset(_routes("GET /openapi.json"))


def queue_spec(name: str) -> QueueSpec:
    """The queue of that name; KeyError for one that is not in the table."""
    return {queue.name: queue for queue in QUEUES}[name]
