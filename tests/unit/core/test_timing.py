from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.core.timing import Timing

MS = st.integers(0, 10**9).map(lambda thousandths: thousandths / 1000)


@given(st.builds(Timing, MS, MS, MS, MS, st.integers(1, 512), st.none() | MS))
def test_a_timing_survives_its_header(timing: Timing) -> None:
    assert Timing.parsed(timing.value()) == timing


def test_the_header_is_what_browsers_read() -> None:
    timing = Timing(0.4, 0.0312, 12.5, 0.02, 8, gateway_ms=0.5)
    assert timing.value() == (
        b"queue;dur=0.400, preprocess;dur=0.031, predict;dur=12.500, postprocess;dur=0.020, "
        b'batch;desc="8", gateway;dur=0.500'
    )


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"cache;desc=hit",
        b"queue;dur=1, preprocess;dur=1, predict;dur=1, postprocess;dur=1",
        b'queue;dur=nan, preprocess;dur=1, predict;dur=1, postprocess;dur=1, batch;desc="1"',
        b'queue;dur=1, preprocess;dur=1, predict;dur=-1, postprocess;dur=1, batch;desc="1"',
        b" " * 1024 + Timing(1, 1, 1, 1, 1).value(),
    ],
)
def test_what_no_replica_writes_is_no_timing(value: bytes) -> None:
    assert Timing.parsed(value) is None


@given(st.binary(max_size=200))
def test_no_header_breaks_the_parser(value: bytes) -> None:
    Timing.parsed(value)
