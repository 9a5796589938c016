"""What is no estimator, or no sample, is named. The estimators are in the end-to-end tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hookline.convert.estimators import export
from hookline.core.errors import InvalidInput, InvalidModel, NotFound


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"0\n1\n", "IndexError"), (b"\xd7\x96\xb5", "cannot be loaded"), (b"", "EOFError")],
    ids=["labels", "noise", "nothing"],
)
def test_a_file_that_is_no_estimator_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    place = tmp_path / "labels.txt"
    place.write_bytes(content)

    with pytest.raises(InvalidModel, match=r"labels\.txt cannot be loaded") as refused:
        export(str(place))
    assert reason in f"{refused.value.what} {refused.value.why}"


@pytest.mark.parametrize("place", ["no_such_module:model", "json:no_such_name"])
def test_a_module_that_has_no_estimator_is_named(place: str) -> None:
    with pytest.raises(InvalidModel, match="no_such"):
        export(place)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.npy", b"not numpy's"),
        ("rows.csv", b"a,b\n1\n"),
        ("rows.csv", b"\xff\xfe"),
        ("rows.csv", b""),
        ("rows.csv", b"a,b\n"),
    ],
)
def test_a_sample_that_holds_no_rows_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidInput, match=name):
        export("json:dumps", tmp_path / name)


def test_a_sample_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"rows\.npy"):
        export("json:dumps", tmp_path / "rows.npy")


def test_pickled_arrays_of_a_sample_are_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.array([{}], object), allow_pickle=True)

    with pytest.raises(InvalidInput, match=r"rows\.npy"):
        export("json:dumps", tmp_path / "rows.npy")
