"""Metrics as Prometheus reads them: its text format, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (
    *(50e-6, 100e-6, 250e-6, 500e-6, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
ITEMS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: the family's name and `suffix`, labels, a value."""

    suffix: str
    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with all that was counted of it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Iterable[Sample]

    @classmethod
    def histogram(
        cls,
        name: str,
        text: str,
        bounds: Sequence[float],
        series: Iterable[tuple[Labels, Sequence[float], float]],
    ) -> Family:
        """`series`: labels, what each bucket alone has counted, the sum of all values.

        There is one bucket more than bounds, for what is above the last.
        """
        samples: list[Sample] = []
        for labels, counts, total in series:
            ends = [*(f"{bound:g}" for bound in bounds), "+Inf"]
            heights = list(accumulate(counts))
            samples += [
                Sample("_bucket", {**labels, "le": end}, height)
                for end, height in zip(ends, heights, strict=True)
            ]
            samples += [Sample("_sum", labels, total), Sample("_count", labels, heights[-1])]
        return cls(name, "histogram", text, samples)


def exposition(families: Iterable[Family]) -> str:
    """All of them as one text."""
    lines: list[str] = []
    for family in families:
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        lines += [
            f"{family.name}{sample.suffix}{_labels(sample.labels)} {_value(sample.value)}"
            for sample in family.samples
        ]
    return "\n".join([*lines, ""])


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _value(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
