from __future__ import annotations

from typing import Any

import pytest

from hookline.core.errors import InvalidInput
from hookline.core.formatting import check_args
from hookline.runtime.backends.tensors import TensorSpec
from hookline.runtime.formatters import formatter_for

ONE = {"y": "float32"}
SCORES_AND_CLASS = {"label": "int64", "scores": "float32"}
TWO_SCORES = {"first": "float32", "second": "float16"}

CASES: list[tuple[str, dict[str, Any], bool, dict[str, str], bool]] = [
    ("raw", {}, False, ONE, True),
    ("raw", {"format_as": "json"}, False, ONE, True),
    ("raw", {"format_as": "tsv"}, False, TWO_SCORES, True),
    ("raw", {"format_as": "xml"}, False, ONE, False),
    ("raw", {"format_as": None}, False, ONE, False),
    ("raw", {"format_as": ["json"]}, False, ONE, False),
    ("raw", {"num_preds": 1}, False, ONE, False),
    ("classification", {}, False, ONE, True),
    ("classification", {"num_preds": 5}, False, ONE, True),
    ("classification", {"num_preds": 0}, False, ONE, False),
    ("classification", {"num_preds": 1.5}, False, ONE, False),
    ("classification", {"num_preds": True}, False, ONE, False),
    ("classification", {"num_preds": "5"}, False, ONE, False),
    ("classification", {"probability": 1}, False, ONE, False),
    ("classification", {"label": True}, False, ONE, False),
    ("classification", {"label": True}, True, ONE, True),
    ("classification", {"label": False}, False, ONE, True),
    ("classification", {"probability": False}, True, ONE, False),
    ("classification", {"probability": False, "index": True}, False, ONE, True),
    ("classification", {"output": "y"}, False, ONE, True),
    ("classification", {"output": "z"}, False, ONE, False),
    ("classification", {"output": 1}, False, ONE, False),
    ("classification", {}, False, SCORES_AND_CLASS, True),
    ("classification", {}, False, TWO_SCORES, False),
    ("classification", {"output": "second"}, False, TWO_SCORES, True),
    ("classification", {"format_as": "csv"}, False, ONE, False),
]


@pytest.mark.parametrize(("formatter", "args", "has_labels", "outputs", "is_valid"), CASES)
def test_the_edge_refuses_what_the_runtime_would_refuse(
    formatter: str,
    args: dict[str, Any],
    has_labels: bool,  # noqa: FBT001 - pytest passes it
    outputs: dict[str, str],
    is_valid: bool,  # noqa: FBT001 - pytest passes it
) -> None:
    def at_the_edge() -> None:
        check_args(formatter, args, has_labels=has_labels, outputs=outputs)

    def in_the_runtime() -> None:
        specs = [TensorSpec(name, dtype, (-1, 3)) for name, dtype in outputs.items()]
        formatter_for(formatter, args, ("a", "b", "c") if has_labels else (), specs)

    for check in (at_the_edge, in_the_runtime):
        if is_valid:
            check()
        else:
            with pytest.raises(InvalidInput):
                check()
