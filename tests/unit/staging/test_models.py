from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from hookline.core.errors import ModelLoadFailed, NotFound, Unavailable
from hookline.core.models import Model
from hookline.core.ports import Blobs, Ports
from hookline.staging.cache import ModelCache
from hookline.staging.models import model_file

DATA = b"weights" * 400_000


class Elsewhere:
    """Blobs that are not on this machine. `opened` counts the downloads."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self.opened = 0
        self.is_down = False

    def uri(self, prefix: str) -> str:
        return f"s3://bucket/{prefix}"

    def open(self, key: str) -> BinaryIO:
        if self.is_down:
            raise Unavailable("AWS cannot be reached.")
        self.opened += 1
        return self._blobs.open(key)


def used(blobs: Blobs | Elsewhere, model: Model, home: Path) -> Path:
    """The model's file, with a cache in `home`; the whole port is not needed for it."""
    return model_file(cast("Blobs", blobs), model, ModelCache(home / "cache"), home)


@pytest.fixture
def model() -> Model:
    return Model(
        tenant="acme",
        id=2,
        name="m",
        format="onnx",
        sha256=sha256(DATA).hexdigest(),
        size_bytes=len(DATA),
        inputs=(),
        outputs=(),
        created_at=0.0,
    )


@pytest.fixture
def elsewhere(ports: Ports) -> Elsewhere:
    return Elsewhere(ports.blobs)


def test_a_file_on_this_machine_is_used_where_it_lies(
    ports: Ports, model: Model, tmp_path: Path
) -> None:
    ports.blobs.put(model.blob_key, DATA)

    path = used(ports.blobs, model, tmp_path)

    assert path.read_bytes() == DATA
    assert not (tmp_path / "cache").exists()


def test_a_file_elsewhere_is_fetched_once(
    ports: Ports, elsewhere: Elsewhere, model: Model, tmp_path: Path
) -> None:
    ports.blobs.put(model.blob_key, DATA)

    first, second = (used(elsewhere, model, tmp_path) for _ in range(2))

    assert first.read_bytes() == DATA
    assert (first, elsewhere.opened) == (second, 1)


def test_a_file_that_is_not_the_imported_one_is_never_used(
    ports: Ports, elsewhere: Elsewhere, model: Model, tmp_path: Path
) -> None:
    ports.blobs.put(model.blob_key, DATA[:-1] + b"!")

    for _ in range(2):
        with pytest.raises(ModelLoadFailed, match="not the one that was imported"):
            used(elsewhere, model, tmp_path)

    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not [path for path in left if path.stat().st_size]  # a lock is empty


def test_a_download_that_breaks_leaves_nothing_behind(
    ports: Ports, elsewhere: Elsewhere, model: Model, tmp_path: Path
) -> None:
    ports.blobs.put(model.blob_key, DATA)
    elsewhere.is_down = True
    with pytest.raises(Unavailable):
        used(elsewhere, model, tmp_path)
    elsewhere.is_down = False

    assert used(elsewhere, model, tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_file_that_is_gone_is_told_by_the_models_number(
    ports: Ports, elsewhere: Elsewhere, model: Model, tmp_path: Path, *, is_elsewhere: bool
) -> None:
    blobs = elsewhere if is_elsewhere else ports.blobs

    with pytest.raises(NotFound, match="file of model 2 is gone"):
        used(blobs, model, tmp_path)
