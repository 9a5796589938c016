from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hookline.batch.entries import Entry, Source
from hookline.batch.inputs import Inputs, Version
from hookline.batch.reading import Reader, load
from hookline.core.errors import Forbidden, InputChanged
from hookline.core.ports import Blobs, Ports


def version(name: str, etag: str = "1") -> Version:
    return Version(f"s3://photos/{name}", etag)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "inputs"


@pytest.fixture
def inputs(folder: Path) -> Inputs:
    return Inputs(folder, 100)


def test_what_was_put_is_there_for_its_version_alone(inputs: Inputs) -> None:
    inputs.put(version("a"), b"one")

    assert inputs.get(version("a")) == b"one"
    assert inputs.get(version("a", "2")) is None
    assert inputs.get(version("b")) is None


def test_what_was_used_longest_ago_makes_room(inputs: Inputs, folder: Path) -> None:
    for name in "abc":
        inputs.put(version(name), name.encode() * 40)
        inputs.get(version("a"))

    assert [inputs.get(version(name)) is None for name in "abc"] == [False, True, False]
    assert sum(path.stat().st_size for path in folder.iterdir()) == 80


def test_what_is_put_again_takes_its_room_once(inputs: Inputs, folder: Path) -> None:
    for _ in range(5):
        inputs.put(version("a"), b"a" * 40)
    inputs.put(version("b"), b"b" * 40)

    assert inputs.get(version("a")) == b"a" * 40
    assert len(list(folder.iterdir())) == 2


def test_a_file_that_takes_more_than_all_the_room_is_not_kept(inputs: Inputs, folder: Path) -> None:
    inputs.put(version("a"), b"a")
    inputs.put(version("b"), b"b" * 101)

    assert inputs.get(version("b")) is None
    assert inputs.get(version("a")) == b"a"
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("spoilt", [b"", b"on", b"two", b"two and more"])
def test_a_file_that_somebody_changed_is_not_believed(
    inputs: Inputs, folder: Path, spoilt: bytes
) -> None:
    inputs.put(version("a"), b"one")
    [path] = folder.iterdir()
    path.write_bytes(spoilt)

    assert inputs.get(version("a")) is None


def test_a_pipe_or_a_link_in_its_place_is_neither_waited_for_nor_followed(
    inputs: Inputs, folder: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"one")
    for trap in (os.mkfifo, lambda path: path.symlink_to(secret), lambda path: path.mkdir()):
        inputs.put(version("a"), b"one")
        [path] = folder.iterdir()
        path.unlink()
        trap(path)

        assert inputs.get(version("a")) is None
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_a_file_that_grew_is_not_read_to_its_end(inputs: Inputs, folder: Path) -> None:
    inputs.put(version("a"), b"one")
    [path] = folder.iterdir()
    os.truncate(path, 1 << 40)

    assert inputs.get(version("a")) == b"one"


def test_a_file_that_somebody_removed_is_absent(inputs: Inputs, folder: Path) -> None:
    inputs.put(version("a"), b"one")
    [path] = folder.iterdir()
    path.unlink()

    assert inputs.get(version("a")) is None


def test_a_disk_that_takes_nothing_is_no_error(folder: Path) -> None:
    folder.parent.joinpath("inputs").write_bytes(b"a file where the folder would be")
    inputs = Inputs(folder, 100)

    inputs.put(version("a"), b"one")

    assert inputs.get(version("a")) is None


def test_another_worker_begins_with_nothing(inputs: Inputs, folder: Path) -> None:
    inputs.put(version("a"), b"one")

    again = Inputs(folder, 100)

    assert again.get(version("a")) is None
    assert not folder.exists()


def test_many_threads_get_what_they_put_or_nothing(folder: Path) -> None:
    inputs = Inputs(folder, 1000)

    def work(seed: int) -> bool:
        name = str(seed % 23)
        inputs.put(version(name), name.encode() * 50)
        return inputs.get(version(name)) in (None, name.encode() * 50)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(2000)))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 1000


class Watched:
    """Blobs that note what is opened; `closed` to us from some moment on."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self.opened: list[str] = []
        self.is_closed = False

    def __getattr__(self, name: str) -> object:
        if self.is_closed and name in ("open", "stat"):
            raise Forbidden("No.")
        return getattr(self._blobs, name)

    def open(self, key: str) -> object:
        self.opened.append(key)
        return self._blobs.open(key)


@pytest.fixture
def blobs(ports: Ports) -> Watched:
    ports.blobs.put("v/a", b"abc")
    return Watched(ports.blobs)


def entry(ports: Ports) -> Entry:
    found = ports.blobs.stat("v/a")
    assert found is not None
    return Entry(index=0, name="a", size_bytes=found.size_bytes, etag=found.etag)


@pytest.fixture
def source(blobs: Watched) -> Source:
    return Source(blobs, "v/")  # type: ignore[arg-type]  # all of it by name


def test_the_next_job_fetches_nothing_again(
    ports: Ports, source: Source, blobs: Watched, inputs: Inputs
) -> None:
    reader = Reader(inputs)

    for _ in range(3):
        [[file]] = reader.batches(source, [entry(ports)], lambda: 8)
        assert file.body == b"abc"

    reader.close()
    assert blobs.opened == ["v/a"]


def test_a_file_that_changed_since_is_fetched_or_refused(
    ports: Ports, source: Source, inputs: Inputs
) -> None:
    old = entry(ports)
    load(source, old, inputs)
    ports.blobs.put("v/a", b"abd")

    assert isinstance(load(source, old, inputs).body, InputChanged)
    assert load(source, entry(ports), inputs).body == b"abd"


def test_who_may_not_read_it_any_more_gets_nothing_that_is_kept(
    ports: Ports, source: Source, blobs: Watched, inputs: Inputs
) -> None:
    file = entry(ports)
    load(source, file, inputs)
    blobs.is_closed = True

    assert isinstance(load(source, file, inputs).body, Forbidden)
