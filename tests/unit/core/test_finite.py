from __future__ import annotations

import pytest

from hookline.core.finite import loads, not_finite


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1e999}', "1e999 is beyond every number"),
        ('{"a": -1e999}', "-1e999 is beyond every number"),
        ('{"a": NaN}', "JSON has no NaN"),
        ('{"a": [Infinity]}', "JSON has no Infinity"),
        ("{", "Expecting"),
    ],
)
def test_a_number_that_is_not_finite_is_named(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        loads(text)


def test_other_json_is_read_as_it_is() -> None:
    assert loads('{"a": [1, 1e3, -0.5, "NaN", null]}') == {"a": [1, 1000.0, -0.5, "NaN", None]}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": {"b": float("inf")}}, "a.b"),
        ({"a": (1, float("nan"))}, "a.1"),
        ({"a": [1.0, {"b": "x"}], "c": None}, ""),
    ],
)
def test_where_a_number_is_not_finite_is_told(value: object, place: str) -> None:
    assert not_finite(value) == place
