"""Queue over one SQLite file, for a single machine."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hookline.adapters.embedded.db import Database
from hookline.core.checks import check_delay, check_limit, check_messages
from hookline.core.errors import Conflict, NotFound
from hookline.core.ports import MAX_LEASES, Lease
from hookline.core.topology import QUEUES, QueueSpec, queue_spec

_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL, body BLOB NOT NULL, visible_at REAL NOT NULL,
    receipt TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0,
    is_dead INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS next_message ON message (queue, is_dead, visible_at);
CREATE INDEX IF NOT EXISTS held_message ON message (receipt) WHERE receipt != ''"""
_SEND = "INSERT INTO message (queue, body, visible_at) VALUES (?, ?, ?)"
_WAITING = "queue = :queue AND is_dead = 0 AND visible_at <= :now"
_PEEK = f"SELECT 1 FROM message WHERE {_WAITING} LIMIT 1"  # noqa: S608 - constants only
_BURY = f"""
UPDATE message SET is_dead = 1, receipt = ''
WHERE {_WAITING} AND attempts >= :max_receives"""  # noqa: S608 - constants only
_TAKE = f"""
UPDATE message
SET receipt = hex(randomblob(16)), visible_at = :until, attempts = attempts + 1
WHERE id IN (SELECT id FROM message WHERE {_WAITING} ORDER BY visible_at, id LIMIT :limit)
RETURNING id, body, receipt, attempts"""  # noqa: S608 - constants only
_EXTEND = """
UPDATE message SET visible_at = ?
WHERE queue = ? AND receipt = ? AND receipt != '' AND visible_at > ?"""
_RELEASE = """
UPDATE message SET visible_at = :now, receipt = ''
WHERE receipt != '' AND is_dead = 0 AND visible_at > :now"""
_ACK = "DELETE FROM message WHERE queue = ? AND receipt = ? AND receipt != ''"
_DEPTH = "SELECT count(*) FROM message WHERE queue = ? AND is_dead = 0"
_DEAD = """
SELECT id, body, receipt, attempts FROM message
WHERE queue = ? AND is_dead = 1 ORDER BY id LIMIT ?"""


class SqliteQueue:
    """Messages as rows. A lease is a time until which the row is invisible."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], float] = time.time) -> SqliteQueue:
        return cls(Database.open(path, _SCHEMA), clock=clock)

    def release(self) -> None:
        """End every lease. For a host at its start: who held them died with the host before."""
        with self._database.write() as connection:
            connection.execute(_RELEASE, {"now": self._clock()})

    def send(self, queue: str, bodies: Sequence[bytes], *, delay_s: int = 0) -> None:
        check_delay(_known(queue), delay_s)
        check_messages(bodies)
        visible_at = self._clock() + delay_s
        with self._database.write() as connection:
            connection.executemany(_SEND, [(queue, body, visible_at) for body in bodies])

    def receive(self, queue: str, limit: int, *, lease_s: int) -> Sequence[Lease]:
        spec = _known(queue)
        check_limit(limit, MAX_LEASES)
        now = self._clock()
        place = {"queue": queue, "now": now}
        with self._database.read() as connection:
            if not connection.execute(_PEEK, place).fetchone():
                return []  # an idle queue costs no write
        with self._database.write() as connection:
            connection.execute(_BURY, place | {"max_receives": spec.max_receives})
            taken = connection.execute(_TAKE, place | {"until": now + lease_s, "limit": limit})
            return _leases(queue, taken)

    def extend(self, lease: Lease, lease_s: int) -> None:
        now = self._clock()
        with self._database.write() as connection:
            held = connection.execute(_EXTEND, (now + lease_s, lease.queue, lease.receipt, now))
        if held.rowcount != 1:
            raise Conflict(
                f"The lease of message {lease.message_id} has ended.",
                why="Another consumer may hold the message by now.",
                hint="Drop the work in hand; the message is delivered again.",
            )

    def ack(self, lease: Lease) -> None:
        with self._database.write() as connection:
            connection.execute(_ACK, (lease.queue, lease.receipt))

    def depth(self, queue: str) -> int:
        _known(queue)
        with self._database.read() as connection:
            return int(connection.execute(_DEPTH, (queue,)).fetchone()[0])

    def dead(self, queue: str, limit: int = 10) -> Sequence[Lease]:
        _known(queue)
        check_limit(limit, MAX_LEASES)
        with self._database.read() as connection:
            return _leases(queue, connection.execute(_DEAD, (queue, limit)))


def _leases(queue: str, rows: sqlite3.Cursor) -> list[Lease]:
    """Fetch at once: an unfinished RETURNING would keep SQLite's write lock."""
    return [
        Lease(queue, str(message_id), body, receipt, attempts)
        for message_id, body, receipt, attempts in rows.fetchall()
    ]


def _known(queue: str) -> QueueSpec:
    try:
        return queue_spec(queue)
    except KeyError:
        names = ", ".join(spec.name for spec in QUEUES)
        raise NotFound(f"There is no queue {queue!r}.", hint=f"The queues are {names}.") from None
