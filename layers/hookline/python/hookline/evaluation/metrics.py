"""How good answers are: classes, calibration and values. Arrays in, numbers out.

scores: float [N, C], one row per example. truth: int [N], the right class of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BINS = 15  # Guo et al., On Calibration of Modern Neural Networks, 2017
_SUM_TOLERANCE = 1e-2


@dataclass(frozen=True, slots=True)
class ClassReport:
    """One class. `precision` is None where it was never answered, `recall` where it never was."""

    examples: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class ValueErrors:
    """Of numbers: mean absolute error, root of the mean square, and R² (None for one value)."""

    mae: float
    rmse: float
    r2: float | None


def ranked(scores: Array, count: int) -> Array:
    """The classes of the `count` highest scores, best first [N, count]; of equals the first."""
    order: Array = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return order


def top_k_share(scores: Array, truth: Array, k: int) -> float:
    """The share of examples whose class is among their `k` highest scores."""
    return float((ranked(scores, k) == truth[:, None]).any(axis=1).mean())


def confusion(truth: Array, answered: Array, classes: int) -> Array:
    """How often each class (row) was answered as each class (column): int64 [C, C]."""
    counts: Array = np.bincount(truth * classes + answered, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def by_class(matrix: Array) -> list[ClassReport]:
    """Precision and recall of each class of a confusion matrix."""
    right, answered, were = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    return [
        ClassReport(
            examples=int(were[at]),
            precision=float(right[at] / answered[at]) if answered[at] else None,
            recall=float(right[at] / were[at]) if were[at] else None,
        )
        for at in range(len(matrix))
    ]


def as_probabilities(scores: Array) -> Array:
    """`scores` where they are probabilities already, else their softmax."""
    scores = scores.astype(np.float64)
    if (scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=_SUM_TOLERANCE):
        return scores
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Array = raised / raised.sum(axis=1, keepdims=True)
    return found


def calibration_error(probabilities: Array, truth: Array, bins: int = BINS) -> float:
    """The expected calibration error: how far confidence is from accuracy, over equal bins."""
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for at in np.unique(place):
        chosen = place == at
        gap = abs(float(is_right[chosen].mean()) - float(confidence[chosen].mean()))
        total += gap * float(chosen.mean())
    return total


def value_errors(truth: Array, answered: Array) -> ValueErrors:
    """Of values of any shape, the same for both."""
    truth, answered = truth.astype(np.float64), answered.astype(np.float64)
    gaps = answered - truth
    spread = ((truth - truth.mean(axis=0)) ** 2).sum()
    return ValueErrors(
        mae=float(np.abs(gaps).mean()),
        rmse=float(np.sqrt((gaps**2).mean())),
        r2=float(1 - (gaps**2).sum() / spread) if spread else None,
    )


def close_share(wanted: Array, found: Array, tolerance: float) -> float:
    """The share of examples [N, …] whose values all differ by at most `tolerance` of the spread."""
    spread = float(wanted.max() - wanted.min()) or max(abs(float(wanted.max())), 1.0)
    gaps = np.abs(found - wanted).reshape(len(wanted), -1)
    return float((gaps <= tolerance * spread).all(axis=1).mean())
