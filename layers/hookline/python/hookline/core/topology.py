"""Which function answers what: the one table behind the AWS stacks and `hookline up`.

A function is a Lambda on AWS and a plain callable locally. `entry` names a callable that takes the
ports and returns the handler: `handler(event, context) -> answer`. `grants` say which calls of the
ports it makes: on AWS its role allows these and no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Handler = Callable[[dict[str, Any], object], dict[str, Any]]

METRICS, UNSERVED = "hookline", "unserved_requests"  # the gateways' metrics; the alarming one
SHARDS, PLAN, FINISH, DROPS, RECONCILE = "shards", "plan", "finish", "drops", "reconcile"
NOTICES = "notices"


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue with dead letters.

    The lease is at least 6 × its function's timeout and its `batch_window_s` (AWS's rule). In a
    FIFO queue, equal bodies are handled one after the other, and all are delayed by `delay_s`.
    """

    name: str
    lease_s: int
    max_receives: int = 5
    is_fifo: bool = False
    delay_s: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the HTTP API. `path` is written as API Gateway writes it."""

    method: str
    path: str


@dataclass(frozen=True, slots=True)
class Grant:
    """Calls of one port.

    The place is where in the port, the verbs are what is done there:

    - catalog: `own` records but those of `jobs`, and those of the `platform`, which are found
      before the tenant is known; get, query, put, delete
    - blobs: what follows the tenant in their keys; read (and whether one is there), list, write,
      abort (what is written piece by piece), delete
    - queue: its name; send, receive, depth
    - fleet: nowhere; ensure, observe, remove, logs, find (the group of the process that asks)
    - linked: the volumes of others; read (which lists as well), list
    - topics: those of the tenant that may be notified; publish
    """

    port: str
    place: str
    verbs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Function:
    """A function and everything that calls it.

    `batch_items` and `batch_window_s` say how many messages of `queue` it takes at once, and how
    long it waits for more. `on_drop`: objects created under volumes reach it through its queue.
    `every_s`: it is also called on a schedule. `on_fleet_change`: also when a process of the fleet
    starts, becomes ready or ends.
    """

    name: str
    entry: str
    routes: tuple[Route, ...] = ()
    queue: str = ""
    batch_items: int = 1
    batch_window_s: int = 0
    on_drop: bool = False
    every_s: int = 0
    on_fleet_change: bool = False
    is_authorizer: bool = False
    timeout_s: int = 30
    memory_mb: int = 512
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessKind:
    """A long-running process: a service on AWS, a child of `hookline up`."""

    name: str
    grants: tuple[Grant, ...]


def _grants(*lines: str) -> tuple[Grant, ...]:
    """Each line is `port place: verb …`; fleet, linked and topics have no place."""
    return tuple(_grant(*line.split(": ")) for line in lines)


def _grant(where: str, verbs: str) -> Grant:
    port, _, place = where.partition(" ")
    return Grant(port, place, frozenset(verbs.split()))


def _routes(*lines: str) -> tuple[Route, ...]:
    return tuple(Route(*line.split()) for line in lines)


QUEUES: tuple[QueueSpec, ...] = (
    QueueSpec(PLAN, lease_s=1800),
    QueueSpec(SHARDS, lease_s=15),  # taken by workers, which extend it while they run
    QueueSpec(FINISH, lease_s=1800),
    QueueSpec(DROPS, lease_s=370),
    QueueSpec(NOTICES, lease_s=180),
    QueueSpec(RECONCILE, lease_s=360, is_fifo=True, delay_s=1),
)

FUNCTIONS: tuple[Function, ...] = (
    Function(
        "authorizer",
        "hookline.control.authorizer:build",
        is_authorizer=True,
        grants=_grants("catalog platform: get"),
    ),
    Function(
        "models",
        "hookline.control.models:build",
        routes=_routes(
            "POST /v1/uploads",
            "POST /v1/models",
            "GET /v1/models",
            "GET /v1/models/{model_id}",
            "GET /v1/models/{model_id}/file",
            "DELETE /v1/models/{model_id}",
        ),
        grants=_grants(
            "catalog own: get query put delete",
            "catalog jobs: query",
            "catalog platform: get put",
            "blobs uploads: read write delete",
        ),
    ),
    Function(
        "streams",
        "hookline.control.streams:build",
        routes=_routes(
            "POST /v1/streams",
            "GET /v1/streams",
            "GET /v1/streams/{stream_id}",
            "PATCH /v1/streams/{stream_id}",
            "DELETE /v1/streams/{stream_id}",
            "GET /v1/streams/{stream_id}/logs",
            "GET /v1/streams/{stream_id}/traffic",
            "POST /v1/streams/{stream_id}/tokens",
        ),
        grants=_grants(
            "catalog own: get query put delete",
            "catalog platform: get put delete",
            "blobs uploads: read",
            "blobs volumes: read",
            "linked: read",
            "queue reconcile: send",
            "fleet: logs",
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
            "POST /v1/volumes/{volume_id}/downloads",
            "POST /v1/volumes/{volume_id}/triggers",
            "DELETE /v1/volumes/{volume_id}/triggers",
            "GET /v1/volumes/{volume_id}/triggers",
            "GET /v1/volumes/{volume_id}/drops",
        ),
        grants=_grants(
            "catalog own: get query put delete",
            "catalog jobs: query",
            "catalog platform: get put",
            "blobs uploads: read",
            "blobs volumes: read list write delete",
            "linked: read",
        ),
    ),
    Function(
        "batches",
        "hookline.control.batches:build",
        routes=_routes(
            "POST /v1/batches",
            "GET /v1/batches",
            "GET /v1/batches/{job_id}",
            "POST /v1/batches/{job_id}/retry",
            "POST /v1/batches/{job_id}/stop",
            "GET /v1/batches/{job_id}/results",
            "GET /v1/batches/{job_id}/parts",
        ),
        grants=_grants(
            "catalog own: get put",
            "catalog jobs: get query put",
            "catalog platform: get put delete",
            "blobs uploads: read",
            "blobs volumes: read",
            "blobs jobs: read",
            "linked: read",
            "queue plan: send",
            "queue finish: send",
            "queue reconcile: send",
        ),
    ),
    Function(
        "verify",
        "hookline.batch.verify:build",
        routes=_routes("GET /v1/batches/{job_id}/verify"),
        memory_mb=1024,
        grants=_grants(
            "catalog jobs: get query",
            "catalog platform: get put",
            "blobs jobs: read",
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
            "POST /v1/webhook-secret",
        ),
        grants=_grants(
            "catalog own: get query put delete",
            "catalog platform: get put delete",
        ),
    ),
    Function("api", "hookline.control.openapi:build", routes=_routes("GET /openapi.json")),
    Function(
        "plan",
        "hookline.batch.plan:build",
        queue=PLAN,
        timeout_s=300,
        grants=_grants(
            "catalog own: get",
            "catalog jobs: get query put",
            "blobs volumes: read list",
            "blobs triggers: read",
            "blobs jobs: read write",
            "linked: read",
            "queue plan: send",
            "queue shards: send",
            "queue finish: send",
            "queue notices: send",
        ),
    ),
    Function(
        "finish",
        "hookline.batch.finish:build",
        queue=FINISH,
        timeout_s=300,
        memory_mb=1024,
        grants=_grants(
            "catalog jobs: get query put",
            "blobs jobs: read write abort",
            "queue finish: send",
            "queue notices: send",
        ),
    ),
    Function(
        "drop",
        "hookline.control.drops:build",
        queue=DROPS,
        on_drop=True,
        batch_items=1000,
        batch_window_s=1,
        timeout_s=60,
        grants=_grants(
            "catalog own: get query put",
            "catalog jobs: put",
            "catalog platform: get query put delete",
            "blobs volumes: read list",
            "blobs triggers: write",
            "linked: read",
            "queue drops: send",
            "queue plan: send",
            "queue reconcile: send",
        ),
    ),
    Function(
        "sweep",
        "hookline.control.sweep:build",
        every_s=240,  # with what an event may take, a file is found within five minutes
        timeout_s=180,
        grants=_grants(
            "catalog own: get query put",
            "catalog platform: query",
            "blobs volumes: list",
            "linked: list",
            "queue drops: send",
        ),
    ),
    Function(
        "notify",
        "hookline.control.notices:build",
        queue=NOTICES,
        timeout_s=30,
        grants=_grants(
            "catalog own: get put",
            "catalog jobs: get",
            "queue notices: send",
            "topics: publish",
        ),
    ),
    Function(
        "reconcile",
        "hookline.control.reconcile:build",
        queue=RECONCILE,
        batch_items=10,
        every_s=60,
        on_fleet_change=True,
        timeout_s=60,
        grants=_grants(
            "catalog own: get query put delete",
            "catalog jobs: query",
            "catalog platform: get query delete",
            "queue drops: send",
            "queue plan: send",
            "queue shards: depth",
            "queue finish: send",
            "queue notices: send",
            "queue reconcile: send",
            "fleet: ensure observe remove",
        ),
    ),
)

PROCESSES: tuple[ProcessKind, ...] = (
    ProcessKind(
        "gateway",
        _grants(
            "catalog own: get query put",
            "catalog platform: get",
            "blobs predictions: read list write delete",
            "queue reconcile: send",
        ),
    ),
    ProcessKind(
        "stream",
        _grants(
            "catalog own: get",
            "blobs uploads: read",
            "blobs volumes: read list",
            "linked: read",
            "fleet: find",
        ),
    ),
    ProcessKind(
        "worker",
        _grants(
            "catalog own: get",
            "catalog jobs: get query put",
            "blobs uploads: read",
            "blobs volumes: read list",
            "blobs jobs: read write abort delete",
            "linked: read",
            "queue shards: receive send",
            "queue finish: send",
            "queue notices: send",
        ),
    ),
)

# What follows a stream or a token, or begins with /v2, is what a replica answers by itself.
GATEWAY_ROUTES: tuple[Route, ...] = _routes(
    "POST /streams/{stream_id}/predict",
    "POST /predict",
    "POST /predictions/{token}",
    "POST /predict/uploads",
    "GET /v2",
    "GET /v2/{proxy+}",
    "POST /v2/{proxy+}",
    "GET /streams/{stream_id}/{proxy+}",
    "POST /streams/{stream_id}/{proxy+}",
    "GET /predictions/{token}/{proxy+}",
    "POST /predictions/{token}/{proxy+}",
)

# Answers below /v1 what no route does: 405 with what the path takes, else 404. It takes a key.
FALLBACK, FALLBACK_FUNCTION = Route("ANY", "/v1/{proxy+}"), "api"

PUBLIC_ROUTES: frozenset[Route] = frozenset(_routes("GET /openapi.json"))


def stack_name(stage: str, kind: str, tenant: str = "") -> str:
    """What CloudFormation calls a stack: `kind` is Platform, Storage, Tenant or Observability."""
    return "-".join(filter(None, ("Hookline", stage, kind, tenant)))


def process_kind(name: str) -> ProcessKind:
    """The process of that name; KeyError for one that is not in the table."""
    return {kind.name: kind for kind in PROCESSES}[name]


def queue_spec(name: str) -> QueueSpec:
    """The queue of that name; KeyError for one that is not in the table."""
    return {queue.name: queue for queue in QUEUES}[name]
