"""What hookline needs from the world: four ports, each at most eight methods.

Every limit here is part of the port: both adapters refuse alike, by calling the checks below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Generic, Literal, Protocol, TypeVar

from hookline.core.errors import InvalidInput
from hookline.core.records import Record
from hookline.core.topology import QueueSpec

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


# --- catalog -------------------------------------------------------------------------------


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


# --- blobs ---------------------------------------------------------------------------------


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

    def writer(self, key: str) -> AbstractContextManager[BlobWriter]:
        """Write a blob of any size piece by piece."""
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


# --- queue ---------------------------------------------------------------------------------


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


# --- fleet ---------------------------------------------------------------------------------

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


# --- limits, checked by every adapter --------------------------------------------------------

_PATH_TRICK = re.compile(r"(\A|/)(\.{0,2})(/|\Z)")


def check_blob_key(key: str) -> str:
    """Return `key` if every store can hold it, else raise InvalidInput saying why not."""
    try:
        size = len(key.encode())
        longest = max(len(part.encode()) for part in key.split("/"))
    except UnicodeEncodeError:
        raise _bad_key(key, "It is not valid UTF-8.") from None
    if not 1 <= size <= MAX_KEY_BYTES:
        raise _bad_key(key, f"Names have 1 to {MAX_KEY_BYTES} bytes.")
    if longest > MAX_NAME_BYTES:
        raise _bad_key(key, f"Each part of a path has at most {MAX_NAME_BYTES} bytes.")
    if _PATH_TRICK.search(key):
        raise _bad_key(key, "Empty parts, '.' and '..' are not allowed in a path.")
    if "\0" in key:
        raise _bad_key(key, "It contains a NUL character.")
    return key


def _bad_key(key: str, why: str) -> InvalidInput:
    shown = key[:80].encode("utf-8", "replace").decode()
    return InvalidInput(f"The name {shown!r} cannot be stored.", why=why, hint="Rename the file.")


def check_limit(limit: int, most: int) -> int:
    """Return `limit` if it is from 1 to `most`, else raise InvalidInput."""
    if not 1 <= limit <= most:
        raise InvalidInput(f"The limit {limit} is out of range.", why=f"It is from 1 to {most}.")
    return limit


def check_record_key(tenant: str, kind: str, key: str) -> None:
    """Refuse a key, or the beginning of one, that some catalog could not hold."""
    try:
        tenant_bytes, key_bytes = len(tenant.encode()), len(f"{kind}#{key}".encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"The {kind} {key!r} cannot be stored: it is not text.") from None
    if tenant_bytes > MAX_TENANT_BYTES:
        raise InvalidInput(
            f"The tenant {tenant[:80]!r}… has too long a name.",
            why=f"It has {tenant_bytes} bytes; at most {MAX_TENANT_BYTES} are possible.",
        )
    if key_bytes > MAX_RECORD_KEY_BYTES:
        raise InvalidInput(
            f"The {kind} {key[:80]!r}… has too long a key.",
            why=f"With its kind it has {key_bytes} bytes; at most {MAX_RECORD_KEY_BYTES} are "
            "possible.",
        )


def check_delay(queue: QueueSpec, delay_s: int) -> None:
    """Refuse a delay that some queue could not make."""
    if not 0 <= delay_s <= MAX_DELAY_S:
        raise InvalidInput(
            f"A message cannot be delayed by {delay_s} s.",
            why=f"Queues delay by at most {MAX_DELAY_S} s.",
        )
    if queue.is_fifo and delay_s not in (0, queue.delay_s):
        raise InvalidInput(
            f"A message to {queue.name} cannot be delayed by {delay_s} s.",
            why=f"A FIFO queue delays its messages alike, this one by {queue.delay_s} s.",
        )


def check_messages(bodies: Iterable[bytes]) -> None:
    """Refuse a body that some queue could not carry."""
    for body in bodies:
        if len(body) > MAX_MESSAGE_BYTES:
            raise InvalidInput(
                f"A message of {len(body)} bytes is too large.",
                why=f"Queues carry at most {MAX_MESSAGE_BYTES} bytes.",
                hint="Store the data as a blob and send its key.",
            )


def check_writes(writes: Sequence[Put | Delete]) -> None:
    """Refuse a transaction that some catalog could not make."""
    if not 1 <= len(writes) <= MAX_WRITES:
        raise InvalidInput(
            f"A transaction of {len(writes)} writes is impossible.",
            why=f"A transaction has 1 to {MAX_WRITES} writes.",
        )
    for write in writes:
        check_record_key(write.record.tenant, write.record.kind, write.record.key)
    size_bytes = sum(len(encoded(w.record).encode()) for w in writes if isinstance(w, Put))
    if size_bytes > MAX_TRANSACTION_BYTES:
        raise InvalidInput(
            f"A transaction of {size_bytes} bytes is too large.",
            why=f"The records of a transaction have at most {MAX_TRANSACTION_BYTES} bytes.",
        )
    keys = {(w.record.tenant, w.record.kind, w.record.key) for w in writes}
    if len(keys) != len(writes):  # DynamoDB refuses two operations on one item
        raise InvalidInput("A transaction may touch each record once.")


def encoded(record: Record) -> str:
    """The record as the JSON text that is stored, size checked."""
    text = record.model_dump_json(exclude={"version"})
    if len(text.encode()) > MAX_RECORD_BYTES:
        raise InvalidInput(
            f"The {record.kind} record {record.key} is too large to store.",
            why=f"It has {len(text.encode())} bytes; a record has at most {MAX_RECORD_BYTES}.",
        )
    return text
