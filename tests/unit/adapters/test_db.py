from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hookline.adapters.embedded import db
from hookline.adapters.embedded.db import Database
from hookline.core.errors import HooklineError, Unavailable

SCHEMA = "CREATE TABLE IF NOT EXISTS item (value INTEGER)"


def values(database: Database) -> list[int]:
    with database.read() as connection:
        return [row[0] for row in connection.execute("SELECT value FROM item ORDER BY value")]


def add(database: Database, value: int) -> None:
    with database.write() as connection:
        connection.execute("INSERT INTO item VALUES (?)", (value,))


def add_and_fail(database: Database, value: int) -> None:
    with database.write() as connection:
        connection.execute("INSERT INTO item VALUES (?)", (value,))
        raise ZeroDivisionError


def test_every_commit_reaches_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "x.db", SCHEMA)
    with database.read() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_transaction_that_raises_is_undone(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "x.db", SCHEMA)
    with pytest.raises(ZeroDivisionError):
        add_and_fail(database, 1)
    add(database, 2)

    assert values(database) == [2]


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "x.db", SCHEMA)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda value: add(database, value), range(100)))

    assert values(database) == list(range(100))


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "x.db", SCHEMA)
    add(database, 1)
    with database.write() as connection:
        connection.execute("INSERT INTO item VALUES (2)")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(values, database).result(timeout=5) == [1]


def test_a_fresh_file_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def open_and_add(value: int) -> None:
        start.wait()
        add(Database.open(tmp_path / "x.db", SCHEMA), value)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_and_add, range(8)))

    assert values(Database.open(tmp_path / "x.db", SCHEMA)) == list(range(8))


def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    Database.open(tmp_path / "x.db", SCHEMA).close()
    raw = sqlite3.connect(tmp_path / "x.db")
    raw.execute(f"PRAGMA user_version = {db.SCHEMA_VERSION + 1}")
    raw.close()

    with pytest.raises(HooklineError, match="newer hookline"):
        Database.open(tmp_path / "x.db", SCHEMA)


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database, but long enough to look at" * 100)

    with pytest.raises(Unavailable, match=r"x\.db failed.*not a database"):
        Database.open(tmp_path / "x.db", SCHEMA)


def test_a_database_that_others_keep_locked_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "BUSY_TIMEOUT_S", 0.05)
    database = Database.open(tmp_path / "x.db", SCHEMA)
    raw = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable, match="locked"):
        add(database, 1)
    raw.execute("ROLLBACK")
    raw.close()
    add(database, 2)
    assert values(database) == [2]


def test_it_can_be_used_again_after_close(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "x.db", SCHEMA)
    add(database, 1)
    database.close()

    assert values(database) == [1]
