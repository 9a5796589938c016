"""Prometheus text as its own client library reads it."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


def parsed(text: str) -> dict[str, dict[Labels, float]]:
    """Values by the name of a sample and its labels; fails on what Prometheus would refuse."""
    found: dict[str, dict[Labels, float]] = {}
    families: list[Any] = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family comes twice"
    for family in families:
        assert family.type != "unknown", family.name
        assert family.documentation, family.name
        for sample in family.samples:
            values = found.setdefault(sample.name, {})
            labels = frozenset(sample.labels.items())
            assert labels not in values, sample
            values[labels] = sample.value
    return found


def labels(**given: str) -> Labels:
    return frozenset(given.items())
