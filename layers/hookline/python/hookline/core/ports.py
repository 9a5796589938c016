"""What hookline needs from the world: four ports, each at most eight methods.

Every limit here is part of the port: both adapters refuse alike, by calling core/checks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Generic, Literal, Protocol, TypeVar

from hookline.core.records import Record

R = TypeVar("R", bound=Record)
T = TypeVar("T")

MAX_LEASES = 10  # SQS returns at most 10 (ReceiveMessage API)
MAX_MESSAGE_BYTES = 256 * 1024  # the smallest limit a queue may be set to on SQS
MAX_RECORD_BYTES = 350_000  # DynamoDB items end at 400 KB, keys and attribute names included
MAX_WRITES = 100  # DynamoDB's TransactWriteItems
MAX_TRANSACTION_BYTES = 4_000_000  # its items have 4 MB in all, keys and attribute names included
MAX_RECORD_KEY_BYTES = 1024  # DynamoDB's sort keys, which are <kind>#<key>
MAX_TENANT_BYTES = 2000  # DynamoDB's partition keys, 2048 with what comes before the tenant
MAX_DELAY_S = 900  # SQS's SendMessage
MAX_PAGE = 1000  # S3's ListObjectsV2
MAX_KEY_BYTES = 1024  # S3's object keys
MAX_NAME_BYTES = 255  # one component of a path on ext4


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Records in key order. `after` continues the query; empty means there are no more."""

    items: Sequence[T]
    after: str = ""


@dataclass(frozen=True, slots=True)
class Put:
    """Write `record` if the stored version is `record.version` (0: if nothing is stored)."""

    record: Record


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove `record` if the stored version is `record.version`."""

    record: Record


class Catalog(Protocol):
    """Records by (tenant, kind, key); every write is conditional on the version that was read."""

    def get(self, kind: type[R], tenant: str, key: str | int) -> R | None: ...

    def put(self, record: R) -> R:
        """Store and return the record with its next version. Raise Conflict if it has moved on."""
        ...

    def delete(self, record: Record) -> None:
        """Raise Conflict if it has moved on; absent is not an error."""
        ...

    def query(
        self, kind: type[R], tenant: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> Page[R]:
        """Records whose key starts with `prefix`, after the key `after`, in key order."""
        ...

    def transact(self, writes: Sequence[Put | Delete]) -> None:
        """All writes or none. Raise Conflict if any condition fails.

        At most MAX_WRITES, and MAX_TRANSACTION_BYTES in all.
        """
        ...


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """`etag` changes whenever the content does. `modified_at`: UTC epoch seconds."""

    key: str
    size_bytes: int
    etag: str
    modified_at: float


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request anyone may send until it expires. `url` may be relative to the API's endpoint."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


class BlobWriter(Protocol):
    """A blob being written: visible when its `with` block ends well, absent when it raises."""

    def write(self, data: bytes) -> object: ...


class Blobs(Protocol):
    """Immutable files under string keys. A blob is whole or absent, never half."""

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Raise Conflict when `if_absent` and the key exists."""
        ...

    def writer(self, key: str, *, if_absent: bool = False) -> AbstractContextManager[BlobWriter]:
        """Write a blob of any size piece by piece. The end raises Conflict as `put` does."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A seekable reader; seeking costs a ranged request, not a download. Raise NotFound.

        It goes on reading what it opened, or raises InputChanged: never a mix of two versions.
        """
        ...

    def stat(self, key: str) -> BlobInfo | None: ...

    def list(self, prefix: str, *, after: str = "", limit: int = MAX_PAGE) -> Page[BlobInfo]:
        """Blobs in UTF-8 byte order of their keys, as S3 lists them."""
        ...

    def delete(self, key: str) -> None:
        """Absent is not an error."""
        ...

    def presign(
        self,
        method: Literal["GET", "PUT"],
        key: str,
        *,
        expires_s: int = 3600,
        sha256: str = "",
        size_bytes: int | None = None,
    ) -> SignedRequest:
        """A PUT with `sha256` (hex) is refused unless the body hashes to it.

        It may end before `expires_s`: S3 refuses what was signed in a session that has ended.
        """
        ...

    def uri(self, prefix: str) -> str:
        """Where other programs find these blobs: `file:///…` or `s3://…`."""
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """A message held for a while. `receipt` is valid until the lease ends."""

    queue: str
    message_id: str
    body: bytes
    receipt: str
    attempts: int


class Queue(Protocol):
    """At least once, in no promised order, on the queues named in `core.topology`.

    A lease that ends before `ack` is delivered again, so every consumer must survive seeing the
    same body twice. After the queue's `max_receives` the message moves to its dead letters.
    """

    def send(self, queue: str, bodies: Sequence[bytes], *, delay_s: int = 0) -> None:
        """Durable when it returns. Any number of bodies; each at most MAX_MESSAGE_BYTES.

        `delay_s` is at most MAX_DELAY_S. A FIFO queue takes none but its own.
        """
        ...

    def receive(self, queue: str, limit: int, *, lease_s: int) -> Sequence[Lease]:
        """Take up to `limit` (1 to MAX_LEASES) messages; none waiting gives an empty list."""
        ...

    def extend(self, lease: Lease, lease_s: int) -> None:
        """Hold it `lease_s` from now. Raise Conflict when the lease has ended."""
        ...

    def ack(self, lease: Lease) -> None:
        """Delete the message. Acking twice, or after the lease ended, is not an error."""
        ...

    def depth(self, queue: str) -> int:
        """About how many messages wait or are leased."""
        ...

    def dead(self, queue: str, limit: int = 10) -> Sequence[Lease]:
        """Look at dead letters, oldest first, without taking them."""
        ...


GroupState = Literal["starting", "ready", "draining", "exited"]


@dataclass(frozen=True, slots=True)
class Group:
    """`count` like processes. `name` is unique in the tenant: `stream-23`, `worker`."""

    tenant: str
    name: str
    role: Literal["stream", "worker"]
    count: int
    device: str = "cpu"
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a process ended: an error's code and sentences, and the user's own traceback lines."""

    code: str
    message: str
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a group as it is now. `address` is `unix:/path` or `http://host:port`."""

    tenant: str
    group: str
    process_id: str
    state: GroupState
    address: str = ""
    started_at: float = 0.0
    failure: Failure | None = None


class Fleet(Protocol):
    """Keeps groups of processes running; those that die are started again, with back-off."""

    def ensure(self, group: Group) -> None:
        """Make it so, soon. The same group again changes nothing.

        The count is the caller's alone: nothing else may scale a group that is ensured here. Raise
        Unavailable while it cannot be yet, InvalidInput if it can never be.
        """
        ...

    def observe(self, tenant: str = "", group: str = "") -> Sequence[Process]:
        """Processes that run, and the last that exited of each group; empty means all."""
        ...

    def remove(self, tenant: str, group: str) -> None:
        """Drain and stop every process, then forget the group. Absent is not an error."""
        ...

    def logs(self, tenant: str, group: str, *, after: int = 0) -> tuple[Sequence[str], int]:
        """Log lines from position `after` on, and the position to ask for next."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """What a tenant may have at once; None: no limit of ours. Replicas are those of all streams."""

    streams: int | None = None
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything a handler may touch; built once per process by an adapter's `wiring`.

    `linked` opens the place a linked volume points at, for reading only: `file:///…` or `s3://…`,
    whichever this world has. It raises InvalidInput, saying what can be linked, for any other.
    `bucket` is what events call the place of `blobs`.
    """

    catalog: Catalog
    blobs: Blobs
    queue: Queue
    fleet: Fleet
    linked: Callable[[str], Blobs]
    bucket: str
    clock: Callable[[], float]
    quotas: Quotas = field(default_factory=Quotas)
