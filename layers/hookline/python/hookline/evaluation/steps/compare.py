"""Compares a model with the variant that was made of it: answers, truth, time and size."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hookline.convert.examples import Example, stored_examples
from hookline.convert.job import Job, Result
from hookline.core.errors import HooklineError, InvalidModel, Unsupported
from hookline.evaluation import metrics
from hookline.runtime.model import Model
from hookline.runtime.spec import PipelineSpec

TOP_K = 5
BATCH_ITEMS = 16
_ROUNDS, _MEASURED_S = 40, 2.0
_TOLERANCE = 0.01
Array = np.ndarray[Any, Any]
Outputs = list[Array]  # each [N, …]


def run(job: Job) -> Result:
    """Report how near `details["variant"]` is to the source, with `details["truth"]` or without."""
    spec = msgspec.convert(job.details["pipeline"], PipelineSpec)
    original = Model.load(spec)
    variant = _loaded(msgspec.structs.replace(spec, model_path=job.details["variant"]), job)
    examples = [_unbatched(example, original) for example in stored_examples(_examples(job))]
    wanted, found = answers(original, examples), answers(variant, examples)
    refuse_if_endless(wanted, found, job.details["precision"])
    truth = job.details["truth"]
    report = _nearness(wanted, found, None if truth is None else np.array(truth, np.int64))
    items = min(BATCH_ITEMS, len(examples))
    report |= {
        "examples": len(examples),
        "speed_up": speed_up(original, variant, examples[:items]),
        "batch_items": items,
        "size_bytes": Path(job.details["variant"]).stat().st_size,
        "original_size_bytes": Path(job.source).stat().st_size,
    }
    return Result(report=report)


def answers(model: Model, examples: Sequence[Example]) -> Outputs:
    """The float outputs for all examples, or all outputs where none is of floats."""
    rows = [
        model.named(output) for example in examples for output in model.predict_batch([example])
    ]
    floats = [spec.name for spec in model.outputs if spec.dtype.startswith("float")]
    names = floats or [spec.name for spec in model.outputs if spec.dtype != "string"]
    if not names:
        raise InvalidModel("The model answers texts alone, which cannot be compared.")
    try:
        return [np.stack([row[name] for row in rows]).astype(np.float64) for name in names]
    except ValueError as error:
        raise InvalidModel(
            "The model answers different shapes for different examples.",
            why=f"{error}.",
            hint="Calibrate on files of one size.",
        ) from error


def is_of_scores(outputs: Outputs) -> bool:
    """Whether the first output is a row of at least two numbers: one score for each class."""
    return outputs[0].ndim == 2 and outputs[0].shape[1] > 1  # noqa: PLR2004 - examples × classes


def speed_up(original: Model, variant: Model, examples: Sequence[Example]) -> float:
    """How many times as fast the variant is: both take turns, so that a busy machine slows both."""
    pairs: list[tuple[float, float]] = []
    deadline = time.monotonic() + _MEASURED_S
    while len(pairs) < _ROUNDS and (not pairs or time.monotonic() < deadline):
        pairs.append((_timed(original, examples), _timed(variant, examples)))
    return statistics.median(one for one, _ in pairs) / statistics.median(two for _, two in pairs)


def _timed(model: Model, examples: Sequence[Example]) -> float:
    began_s = time.perf_counter()
    model.predict_batch(examples)
    return time.perf_counter() - began_s


def _examples(job: Job) -> Path:
    return Path(job.details["examples"])


def _unbatched(example: Example, model: Model) -> Example:
    return {n: v[0] if n in model.batch_axis.inputs else v for n, v in example.items()}


def _loaded(spec: PipelineSpec, job: Job) -> Model:
    try:
        return Model.load(spec)
    except HooklineError as error:
        raise Unsupported(
            f"This machine cannot run the model in {job.details['precision']}.",
            why=error.why or error.what,
            hint="Use another precision; fp16 and int8 with --calibrate suit most models.",
        ) from error


def refuse_if_endless(wanted: Outputs, found: Outputs, precision: str) -> None:
    """Raise InvalidModel where the variant has numbers without end and the original has not."""
    for one, other in zip(wanted, found, strict=True):
        if np.isfinite(one).all() and not np.isfinite(other).all():
            raise InvalidModel(
                f"In {precision} the model answers numbers that are not finite.",
                why="A value in it is larger than the precision can hold.",
                hint="Use bf16 of a PyTorch model, mixed or int8 of others: they keep such values.",
            )


def _nearness(wanted: Outputs, found: Outputs, truth: Array | None) -> dict[str, Any]:
    gaps = [np.abs(one - other) for one, other in zip(wanted, found, strict=True)]
    report: dict[str, Any] = {
        "largest_error": max(float(np.nanmax(gap)) for gap in gaps),
        "mean_error": float(np.mean([np.nanmean(gap) for gap in gaps])),
    }
    if not is_of_scores(wanted):
        share = metrics.close_share(wanted[0], found[0], _TOLERANCE)
        return report | {"answers": "values", "agreement": share}
    first = wanted[0].argmax(axis=1)
    k = min(TOP_K, wanted[0].shape[1])
    report |= {
        "answers": "scores",
        "agreement": metrics.top_k_share(found[0], first, 1),
        "top_k": k,
        "top_k_agreement": metrics.top_k_share(found[0], first, k),
    }
    return report | (_accuracies(wanted[0], found[0], truth, k) if truth is not None else {})


def _accuracies(wanted: Array, found: Array, truth: Array, k: int) -> dict[str, float]:
    return {
        "accuracy": metrics.top_k_share(found, truth, 1),
        "original_accuracy": metrics.top_k_share(wanted, truth, 1),
        "top_k_accuracy": metrics.top_k_share(found, truth, k),
        "original_top_k_accuracy": metrics.top_k_share(wanted, truth, k),
    }
