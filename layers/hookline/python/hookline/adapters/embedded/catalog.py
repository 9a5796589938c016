"""Catalog over one SQLite file, for a single machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

from hookline.adapters.embedded.db import Database
from hookline.core.checks import check_limit, check_record_key, check_writes, encoded, moved_on
from hookline.core.ports import MAX_PAGE, Delete, Page, Put
from hookline.core.records import Record, number

R = TypeVar("R", bound=Record)

# SQLite compares text byte by byte in UTF-8, which is the order of DynamoDB's sort keys.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    tenant TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
    version INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (tenant, kind, key)
) WITHOUT ROWID"""
_GET = "SELECT body, version FROM record WHERE (tenant, kind, key) = (?, ?, ?)"
_QUERY = """
SELECT key, body, version FROM record
WHERE tenant = ? AND kind = ? AND key >= ? AND key > ? ORDER BY key LIMIT ?"""
_INSERT = """
INSERT INTO record (body, tenant, kind, key, version) VALUES (?, ?, ?, ?, 1)
ON CONFLICT DO NOTHING"""
_UPDATE = """
UPDATE record SET body = ?, version = version + 1
WHERE (tenant, kind, key) = (?, ?, ?) AND version = ?"""
_DELETE = "DELETE FROM record WHERE (tenant, kind, key) = (?, ?, ?) AND version = ?"


class SqliteCatalog:
    """Records as JSON rows; SQLite's write lock makes every condition and change one step."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> SqliteCatalog:
        return cls(Database.open(path, _SCHEMA))

    def get(self, kind: type[R], tenant: str, key: str | int) -> R | None:
        name = number(key) if isinstance(key, int) else key
        check_record_key(tenant, kind.kind, name)
        with self._database.read() as connection:
            row = connection.execute(_GET, (tenant, kind.kind, name)).fetchone()
        return _decoded(kind, *row) if row else None

    def put(self, record: R) -> R:
        body = encoded(record)
        check_record_key(*_place(record))
        with self._database.write() as connection:
            _put(connection, record, body)
        return record.changed(version=record.version + 1)

    def delete(self, record: Record) -> None:
        check_record_key(*_place(record))
        with self._database.write() as connection:
            _delete(connection, record)

    def query(
        self, kind: type[R], tenant: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> Page[R]:
        check_limit(limit, MAX_PAGE)
        for key in (prefix, after):
            check_record_key(tenant, kind.kind, key)
        with self._database.read() as connection:
            found = connection.execute(_QUERY, (tenant, kind.kind, prefix, after, limit + 1))
            rows = list(takewhile(lambda row: row[0].startswith(prefix), found.fetchall()))
        items = [_decoded(kind, body, version) for _, body, version in rows[:limit]]
        return Page(items, after=rows[limit - 1][0] if len(rows) > limit else "")

    def transact(self, writes: Sequence[Put | Delete]) -> None:
        check_writes(writes)
        bodies = [encoded(write.record) for write in writes]
        with self._database.write() as connection:
            for write, body in zip(writes, bodies, strict=True):
                if isinstance(write, Put):
                    _put(connection, write.record, body)
                else:
                    _delete(connection, write.record)


def _place(record: Record) -> tuple[str, str, str]:
    return record.tenant, record.kind, record.key


def _put(connection: sqlite3.Connection, record: Record, body: str) -> None:
    if record.version == 0:
        written = connection.execute(_INSERT, (body, *_place(record)))
    else:
        written = connection.execute(_UPDATE, (body, *_place(record), record.version))
    if written.rowcount != 1:
        raise moved_on(record)


def _delete(connection: sqlite3.Connection, record: Record) -> None:
    if connection.execute(_DELETE, (*_place(record), record.version)).rowcount == 1:
        return
    if connection.execute(_GET, _place(record)).fetchone():
        raise moved_on(record)


def _decoded(kind: type[R], body: str, version: int) -> R:
    return kind.model_validate_json(body).changed(version=version)
