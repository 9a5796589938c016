"""A trigger as it is stored, the files that landed under it, and the bursts that they gather in."""

from __future__ import annotations

from hashlib import sha256 as digest_of
from typing import ClassVar

from pydantic import Field

from hookline.core.records import NumberedRecord, Record, Serving, Value, number

DROP_NAME_BYTES = 900  # of a name in a key, which has 1,024 at most (DynamoDB's sort keys)


class Gathering(Value):
    """When the files that land under a trigger become a job, and which of them.

    A job begins once no file came for `settle_s`, or `max_wait_s` after its first one, or when it
    has `max_files`. With a `marker` or a `manifest` it begins when a file of that name lands: it
    has the files beside and below the marker, or those that the manifest lists. `suffixes` are in
    lower case; none means that every name will do.
    """

    settle_s: int = 0
    max_wait_s: int = 0
    max_files: int = 1000
    suffixes: tuple[str, ...] = ()
    marker: str = ""
    manifest: str = ""

    def takes(self, name: str) -> bool:
        """Whether files of that name are predicted."""
        return not self.suffixes or name.lower().endswith(self.suffixes)

    @property
    def starter(self) -> str:
        """The name of the files that begin a job; empty where time does."""
        return self.marker or self.manifest

    def is_started_by(self, name: str) -> bool:
        """Whether a file of that name begins a job."""
        return bool(self.starter) and name.rpartition("/")[2] == self.starter


class Trigger(NumberedRecord):
    """Files that land in this volume are predicted with this model.

    `burst` counts the jobs it began: the files that land now gather in the burst of that number.
    """

    kind: ClassVar[str] = "trigger"
    volume_id: int
    model_id: int
    serving: Serving
    gathering: Gathering = Field(default_factory=Gathering)
    notify: str = ""
    burst: int = 1
    is_on: bool = True
    created_at: float


class Drop(Record):
    """One version of a file that landed under a trigger, and what became of it.

    It is predicted by the job of its `burst` (by `job_id` where an older release stored that), or
    by none for a `reason`; with neither it waits for the file that begins a job. One that another
    version took the place of can still be predicted if it comes back.
    """

    kind: ClassVar[str] = "drop"
    trigger_id: int
    name: str
    etag: str
    size_bytes: int
    modified_at: float = 0.0
    burst: int | None = None
    job_id: int | None = None
    reason: str = ""
    is_superseded: bool = False
    seen_at: float

    @property
    def may_join(self) -> bool:
        """Whether it is in no burst, and may be in the next one."""
        is_waiting = self.burst is None and self.job_id is None and not self.reason
        return is_waiting or self.is_superseded

    @property
    def key(self) -> str:
        return drop_key(self.trigger_id, self.name, self.etag)


class Burst(Record):
    """Files of a trigger that become one job: `files` of them so far, and `handfuls` of records.

    `look_at` is when the message comes that looks whether it is time; 0 without one.
    """

    kind: ClassVar[str] = "burst"
    trigger_id: int
    number: int
    files: int = 0
    handfuls: int = 0
    first_at: float
    last_at: float
    look_at: float = 0.0
    job_id: int | None = None

    @property
    def key(self) -> str:
        return burst_key(self.trigger_id, self.number)


def burst_key(trigger_id: int, burst: int) -> str:
    """The bursts of a trigger, in their order."""
    return f"{number(trigger_id)}/{number(burst)}"


def drop_key(trigger_id: int, name: str, etag: str) -> str:
    """Near the keys of names like it, as in a listing; the digest tells all versions apart."""
    version = digest_of(f"{name}\n{etag}".encode()).hexdigest()
    begin = name.encode()[:DROP_NAME_BYTES].decode(errors="ignore")
    return f"{number(trigger_id)}/{begin}/{version}"
