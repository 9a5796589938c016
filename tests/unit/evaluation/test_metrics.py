"""Figures of quality, held to scikit-learn's and to examples worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as known

from hookline.evaluation import metrics

CHANCE = np.random.default_rng(7)
SCORES: Any = CHANCE.standard_normal((200, 6))
TRUTH: Any = CHANCE.integers(0, 6, 200)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_share_of_classes_among_the_best(k: int) -> None:
    wanted = known.top_k_accuracy_score(TRUTH, SCORES, k=k, labels=range(6))
    assert metrics.top_k_share(SCORES, TRUTH, k) == pytest.approx(wanted)


def test_of_equal_scores_the_first_class_counts() -> None:
    assert metrics.ranked(np.zeros((1, 4)), 2).tolist() == [[0, 1]]


def test_the_confusion_matrix_has_the_truth_in_its_rows() -> None:
    answered = SCORES.argmax(axis=1)
    wanted = known.confusion_matrix(TRUTH, answered, labels=range(6))
    assert metrics.confusion(TRUTH, answered, 6).tolist() == wanted.tolist()


def test_precision_and_recall_of_each_class() -> None:
    answered = SCORES.argmax(axis=1)
    found = metrics.by_class(metrics.confusion(TRUTH, answered, 6))
    precision, recall, _, support = known.precision_recall_fscore_support(
        TRUTH, answered, labels=range(6)
    )
    assert [each.precision for each in found] == pytest.approx(precision.tolist())
    assert [each.recall for each in found] == pytest.approx(recall.tolist())
    assert [each.examples for each in found] == support.tolist()


def test_a_class_that_never_was_or_is_answered_has_no_share() -> None:
    one, other = metrics.by_class(metrics.confusion(np.array([0]), np.array([0]), 2))
    assert (one.precision, one.recall) == (1.0, 1.0)
    assert (other.examples, other.precision, other.recall) == (0, None, None)


def test_the_calibration_error_is_the_gap_between_sureness_and_truth() -> None:
    sure, unsure = [0.9, 0.1], [0.6, 0.4]
    probabilities = np.array([sure] * 10 + [unsure] * 10)
    truth = np.array([0] * 9 + [1] + [0] * 3 + [1] * 7)  # right: 90 % when sure, 30 % when not
    assert metrics.calibration_error(probabilities, truth) == pytest.approx(0.5 * 0.3)


def test_logits_become_probabilities_and_probabilities_stay() -> None:
    logits = np.array([[0.0, np.log(3.0)], [1000.0, 0.0]])
    found = metrics.as_probabilities(logits)
    assert found == pytest.approx(np.array([[0.25, 0.75], [1, 0]]))
    assert metrics.as_probabilities(found).tolist() == found.tolist()


def test_errors_of_values() -> None:
    truth, answered = CHANCE.standard_normal((50, 1)), CHANCE.standard_normal((50, 1))
    found = metrics.value_errors(truth, answered)
    assert found.mae == pytest.approx(known.mean_absolute_error(truth, answered))
    assert found.rmse == pytest.approx(known.root_mean_squared_error(truth, answered))
    assert found.r2 == pytest.approx(known.r2_score(truth, answered))


def test_one_value_alone_explains_no_variance() -> None:
    assert metrics.value_errors(np.array([[1.0]]), np.array([[2.0]])).r2 is None


def test_values_are_close_by_their_spread() -> None:
    wanted = np.array([[0.0], [50.0], [100.0]])
    assert metrics.close_share(
        wanted, wanted + np.array([[0.9], [1.1], [0.0]]), 0.01
    ) == pytest.approx(2 / 3)
    assert metrics.close_share(np.ones((2, 1)), np.ones((2, 1)) + 0.001, 0.01) == 1.0
