"""The rows of a job: what became of each file or record, kept as JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from hookline.core.errors import HooklineError

MAX_MESSAGE_CHARS = 2000


class RowError(msgspec.Struct, frozen=True):
    """Why a file has no output."""

    code: str
    message: str

    @classmethod
    def of(cls, error: HooklineError) -> RowError:
        """A hook may raise any text: what no store or sheet could hold is cut or replaced."""
        text = str(error)[:MAX_MESSAGE_CHARS].encode("utf-8", "replace").decode()
        return cls(code=error.code, message=text)


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one file: its output, or its error.

    `job_id` names the earlier job that made the row, for one that a retry has kept; `took_ms` is
    its share of the time of its batch; `input` is the record, where the results are to have it;
    `is_json` says what the pipeline said of the output.
    """

    index: int = msgspec.field(name="i")
    name: str
    output: str | None = None
    error: RowError | None = None
    job_id: int = msgspec.field(name="job", default=0)
    took_ms: float = msgspec.field(name="ms", default=0.0)
    input: str | None = None
    is_json: bool = msgspec.field(name="json", default=False)


def encoded(rows: Iterable[Row]) -> bytes:
    """The rows as JSON lines."""
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def decoded(lines: Iterable[bytes]) -> Iterator[Row]:
    """The rows of JSON lines. Raise msgspec.DecodeError for anything else."""
    return (msgspec.json.decode(line, type=Row) for line in lines)
