"""One way to open SQLite, and the one place its errors become hookline's."""

from __future__ import annotations

import sqlite3
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hookline.core.errors import HooklineError, Unavailable

BUSY_TIMEOUT_S = 10.0
SCHEMA_VERSION = 1
SQLITE_VERSION = sqlite3.sqlite_version_info


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise Unavailable for anything SQLite refuses."""
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(
            f"The database {path.name} failed.",
            why=f"{error}.",
            hint="Check free disk space and that the home folder is writable, then retry.",
        ) from error


class Database:
    """One SQLite file, used from any number of threads and processes.

    Each use borrows a connection that no other thread holds, so readers never wait for each other.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[sqlite3.Connection] = deque()
        weakref.finalize(self, _close, self._idle)

    @classmethod
    def open(cls, path: Path, schema: str) -> Database:
        """The database at `path`, with the tables of `schema` if it is a fresh one."""
        database = cls(path)
        with database.write() as connection:
            [version] = connection.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise _too_new(path, version)
            if version < SCHEMA_VERSION:
                for statement in schema.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        return database

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees what was committed when each statement started."""
        with translated(self._path):
            connection = self._borrow()
            try:
                yield connection
            finally:
                self._idle.append(connection)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: durable when the block ends well, undone when it raises."""
        with self.read() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the idle connections; a later use opens a new one."""
        _close(self._idle)

    def _borrow(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return _connect(self._path)


def _close(idle: deque[sqlite3.Connection]) -> None:
    while idle:
        idle.pop().close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False
    )
    _enter_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    return connection


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Two processes that open a fresh file at once: SQLite's busy timeout does not cover it."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _too_new(path: Path, version: int) -> HooklineError:
    return HooklineError(
        f"The database {path.name} was written by a newer hookline.",
        why=f"Its layout is {version}; this release knows up to {SCHEMA_VERSION}.",
        hint="Upgrade hookline, or use another home folder.",
    )
