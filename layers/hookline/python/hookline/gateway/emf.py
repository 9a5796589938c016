"""A stream's traffic as CloudWatch reads it from a log line: the Embedded Metric Format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TextIO

from hookline.core.topology import METRICS, UNSERVED
from hookline.gateway.load import Numbers

_UNITS = {
    "in_flight_requests": "None",
    "answered_requests": "Count",
    "failed_requests": "Count",
    UNSERVED: "Count",
}


def emf(numbers: Numbers, now: float) -> str:
    """One line. `now`: UTC epoch seconds."""
    values = (numbers.in_flight, numbers.answered, numbers.failed, numbers.unserved)
    metrics = [{"Name": name, "Unit": unit} for name, unit in _UNITS.items()]
    directive = {
        "Namespace": METRICS,
        "Dimensions": [["tenant"], ["tenant", "stream"]],
        "Metrics": metrics,
    }
    line = {
        "_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]},
        "tenant": numbers.tenant,
        "stream": str(numbers.stream_id),
        **dict(zip(_UNITS, values, strict=True)),
    }
    return json.dumps(line)


def print_emf(all_numbers: Sequence[Numbers], now: float, target: TextIO = sys.stdout) -> None:
    """What a gateway on AWS does with its numbers: a line each, which its log group takes in."""
    for numbers in all_numbers:
        print(emf(numbers, now), file=target, flush=True)
