from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hookline.core.exposition import Family, Sample, exposition
from tests.prometheus import labels, parsed


def test_a_histogram_is_cumulative_and_ends_with_everything() -> None:
    series = [({"stream": "7"}, [2.0, 0.0, 3.0], 12.5)]
    text = exposition([Family.histogram("a_seconds", "A.", (0.001, 0.5), series)])
    found = parsed(text)
    assert found["a_seconds_bucket"] == {
        labels(stream="7", le="0.001"): 2,
        labels(stream="7", le="0.5"): 2,
        labels(stream="7", le="+Inf"): 5,
    }
    assert found["a_seconds_sum"] == {labels(stream="7"): 12.5}
    assert found["a_seconds_count"] == {labels(stream="7"): 5}


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_labels_and_values_survive_whatever_they_are(text: str, value: float) -> None:
    text = text.replace("\r", "")  # the parser of the tests splits lines there, Prometheus does not
    family = Family("a_total", "counter", "A.", [Sample("", {"model": text}, value)])
    assert parsed(exposition([family]))["a_total"] == {labels(model=text): value}
