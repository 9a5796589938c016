from __future__ import annotations

import json

import pytest

from hookline.core import endings
from hookline.core.errors import ModelLoadFailed
from hookline.core.ports import Failure

ERROR = ModelLoadFailed("The model is empty.", hint="Import it again.", trace="line 1: oh")
FAILURE = Failure("model_load_failed", "The model is empty. Import it again.", "line 1: oh")


def line(**changed: object) -> str:
    return json.dumps({"event": endings.REPLICA_FAILED, **endings.told(ERROR), **changed})


def test_what_a_process_tells_is_read_as_its_failure() -> None:
    assert endings.read(f"loading\n{line()}\nbye") == FAILURE


def test_the_last_line_counts() -> None:
    failure = endings.read(f"{line(code='first')}\n{line()}")

    assert failure == FAILURE


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "replica_failed",
        '"replica_failed"',
        line(event="replica_failed_not"),
        json.dumps({"event": "replica_failed", "code": "internal"}),
        line(trace="x" * 70_000),
        "[" * 20_000 + '"replica_failed"',
        '{"event": "replica_failed", "code": ',
    ],
)
def test_what_only_looks_like_it_is_not_read(lines: str) -> None:
    assert endings.read(lines) is None


def test_halves_of_characters_cannot_keep_it_from_being_stored() -> None:
    failure = endings.read(line(why="\ud800"))

    assert failure is not None
    assert failure.message == "?"
