"""Results as text: a table for a person, JSON, and the CSV of perf_analyzer."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from hookline.bench.results import Level

_STAGES = ("queue", "preprocess", "predict", "postprocess")
_SERVER = (
    "Server Queue",
    "Server Compute Input",
    "Server Compute Infer",
    "Server Compute Output",
)
_PERCENTILES = (50, 90, 95, 99)


def rows(levels: Sequence[Level]) -> list[dict[str, Any]]:
    """A row for each level, short enough for a terminal."""
    return [_row(level) for level in levels]


def _row(level: Level) -> dict[str, Any]:
    shown = {f"p{percent:g}_ms": f"{level.percentile_ms(percent):.3f}" for percent in (50, 90, 99)}
    corrected = f"{level.percentile_ms(99, is_corrected=True):.3f}"
    return {
        "rate_per_s" if level.is_open else "concurrency": f"{level.load:g}",
        "requests_per_s": f"{level.per_s:,.1f}",
        **shown,
        **({} if level.is_open else {"corrected_p99_ms": corrected}),
        "queue_ms": f"{level.stage_ms('queue'):.3f}",
        "predict_ms": f"{level.stage_ms('predict'):.3f}",
        "batch_items": f"{level.batch_items:.1f}",
        "failed": str(level.failed),
        "stable": "yes" if level.is_stable else "no",
    }


def perf_analyzer_csv(levels: Sequence[Level]) -> str:
    """Its columns and units, which are microseconds; sorted by throughput as it does.

    Sending and receiving cannot be told from the network here, so they stand there together.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    first = "Request Rate" if levels and levels[0].is_open else "Concurrency"
    writer.writerow(
        (
            first,
            "Inferences/Second",
            "Client Send",
            "Network+Server Send/Recv",
            *_SERVER,
            "Client Recv",
            *(f"p{percent} latency" for percent in _PERCENTILES),
        )
    )
    for level in sorted(levels, key=lambda level: level.per_s):
        stages = [level.stage_ms(stage) for stage in _STAGES]
        rest = max(0.0, level.mean_ms - sum(stages))
        percentiles = [level.percentile_ms(percent) for percent in _PERCENTILES]
        writer.writerow(
            (
                f"{level.load:g}",
                f"{level.per_s:.4f}",
                0,
                *(round(1000 * ms) for ms in (rest, *stages)),
                0,
                *(round(1000 * ms) for ms in percentiles),
            )
        )
    return text.getvalue()
