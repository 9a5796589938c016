from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from hookline.staging.cache import ModelCache

SIZE_BYTES = 10


class Store:
    """A cache with room for three models. `fetches` are those that were not there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fetches = folder, list[str]()
        self.cache = ModelCache(folder / "models", 3 * SIZE_BYTES)

    def use(self, name: str, at: int = 0, *, size_bytes: int = SIZE_BYTES) -> Path:
        """A folder of someone who uses that model from then on."""
        user = self.folder / "run" / f"{name}-{at}"
        user.mkdir(parents=True)

        def fetched(target: Path) -> Path:
            if not target.is_dir():
                self.fetches.append(name)
                work = target.with_name(f".{name}-work")
                work.mkdir()
                (work / "file").write_bytes(b"x" * size_bytes)
                work.rename(target)
            return target

        file = self.cache.file(name, size_bytes, user, fetched)
        assert file.stat().st_size == size_bytes
        os.utime(file.parent, (at, at))
        return user

    def use_briefly(self, name: str, at: int) -> None:
        shutil.rmtree(self.use(name, at))

    def present(self) -> set[str]:
        return {path.parent.name for path in self.cache.folder.glob("*/file")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_what_was_used_longest_ago_makes_room(store: Store) -> None:
    for at, name in enumerate(["a", "b", "c", "a", "d"]):
        store.use_briefly(name, at)

    assert store.present() == {"a", "c", "d"}
    assert store.fetches == ["a", "b", "c", "d"]


def test_what_is_in_use_stays_however_old_it_is(store: Store) -> None:
    user = store.use("a", 0)
    for at, name in enumerate(["b", "c", "d", "e"], start=1):
        store.use_briefly(name, at)
    assert store.present() == {"a", "d", "e"}

    shutil.rmtree(user)
    store.use_briefly("f", 9)
    assert store.present() == {"d", "e", "f"}


def test_a_model_that_two_use_stays_until_both_are_gone(store: Store) -> None:
    first, second = store.use("a", 0), store.use("a", 1)
    for at, name in enumerate(["b", "c"], start=2):
        store.use(name, at)
    shutil.rmtree(first)
    store.use_briefly("d", 4)
    assert "a" in store.present()

    shutil.rmtree(second)
    store.use_briefly("e", 5)
    assert "a" not in store.present()


def test_a_model_that_is_too_large_is_fetched_all_the_same(store: Store) -> None:
    store.use("a", 0)
    store.use_briefly("b", 1)
    store.use_briefly("c", 2)
    store.use("larger", 3, size_bytes=9 * SIZE_BYTES)

    assert store.present() == {"a", "larger"}


def test_a_model_is_never_removed_under_those_who_ask_for_it_at_once(store: Store) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                store.use_briefly(f"{number}", 100 * number + turn)
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(store.present()) <= 6
