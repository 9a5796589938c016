"""Beam search over the token scores a model gave for each step."""

from __future__ import annotations

from typing import Any

import numpy as np

from hookline.core.errors import InvalidInput

Array = np.ndarray[Any, Any]
_TOLERANCE = 1e-3


def best_sequences(scores: Array, num_beams: int) -> Array:
    """The `num_beams` likeliest token sequences, best first.

    scores: float [steps, tokens], logits or probabilities. Returns int64 [num_beams, steps], with
    fewer rows when fewer sequences exist.
    """
    if num_beams < 1:
        raise InvalidInput(f"num_beams is {num_beams}.", hint="Ask for one beam or more.")
    beams = np.zeros((1, 0), np.int64)
    totals = np.zeros(1)
    for step in log_probabilities(scores.astype(np.float64)):
        candidates = (totals[:, None] + step[None, :]).ravel()
        best = np.argsort(-candidates, kind="stable")[:num_beams]
        parents, tokens = np.divmod(best, len(step))
        beams = np.concatenate([beams[parents], tokens[:, None]], axis=1)
        totals = candidates[best]
    return beams


def log_probabilities(scores: Array) -> Array:
    """The logarithms of probabilities, or of the softmax of logits, along the last axis."""
    sums = scores.sum(axis=-1)
    if (scores >= 0).all() and np.allclose(sums, 1, atol=_TOLERANCE):
        return np.log(np.maximum(scores, np.finfo(np.float64).tiny))
    shifted = scores - scores.max(axis=-1, keepdims=True)
    log_probabilities: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return log_probabilities
