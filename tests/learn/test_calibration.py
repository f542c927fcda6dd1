"""Temperature and calibration error, by hand and against slow definitions."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from secondlook.pipeline.learn.calibration import (
    at_temperature,
    cross_fit_temperature,
    expected_calibration_error,
    fit_temperature,
    nll,
)


def softmax(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: npt.NDArray[Any] = raised / raised.sum(axis=1, keepdims=True)
    return probs


def drawn(n: int, sharpness: float, seed: int = 0) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Labels that really have the probabilities softmax(logits), and probabilities too sure by a factor."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 4))
    true = softmax(logits)
    labels = (rng.random((n, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    return labels, softmax(sharpness * logits).astype(np.float32)


def slow_ece(labels: npt.NDArray[Any], probs: npt.NDArray[Any], bins: int = 15) -> float:
    total = 0.0
    for i in range(bins):
        rows = [r for r in range(len(labels)) if i / bins < float(probs[r].max()) <= (i + 1) / bins]
        if rows:
            accuracy = np.mean([probs[r].argmax() == labels[r] for r in rows])
            confidence = np.mean([float(probs[r].max()) for r in rows])
            total += len(rows) / len(labels) * abs(accuracy - confidence)
    return total


def test_the_calibration_error_is_its_definition() -> None:
    labels, probs = drawn(400, 2.0)
    assert expected_calibration_error(labels, probs) == pytest.approx(slow_ece(labels, probs), abs=1e-6)
    assert math.isnan(expected_calibration_error(labels[:0], probs[:0]))


def test_the_temperature_that_was_put_in_is_found() -> None:
    labels, probs = drawn(20_000, 2.5)
    assert fit_temperature(labels, probs) == pytest.approx(2.5, rel=0.06)
    labels, probs = drawn(20_000, 0.5)
    assert fit_temperature(labels, probs) == pytest.approx(0.5, rel=0.06)


def test_no_other_temperature_is_better() -> None:
    labels, probs = drawn(500, 3.0)
    best = fit_temperature(labels, probs)
    grid = [nll(labels, probs, t) for t in np.geomspace(0.05, 20, 400)]
    assert nll(labels, probs, best) <= min(grid) + 1e-6


def test_nll_is_its_definition() -> None:
    labels, probs = drawn(50, 1.0)
    expected = -np.mean([math.log(probs[r, labels[r]]) for r in range(50)])
    assert nll(labels, probs) == pytest.approx(expected, abs=1e-6)


def test_calibrating_lowers_the_likelihood_loss_and_keeps_the_order_of_classes() -> None:
    labels, probs = drawn(5_000, 3.0)
    folds = np.arange(5_000) % 5
    calibrated, temperature = cross_fit_temperature(labels, probs, folds)
    assert nll(labels, calibrated) < nll(labels, probs) - 0.1
    assert expected_calibration_error(labels, calibrated) < 0.03 < expected_calibration_error(labels, probs)
    assert (calibrated.argmax(axis=1) == probs.argmax(axis=1)).all()
    assert calibrated.sum(axis=1) == pytest.approx(np.ones(5_000), abs=1e-5)
    assert temperature == pytest.approx(3.0, rel=0.1)


def test_a_fold_s_own_labels_have_no_part_in_its_temperature() -> None:
    labels, probs = drawn(600, 2.0)
    folds = np.arange(600) % 3
    other = labels.copy()
    other[folds == 1] = probs[folds == 1].argmin(axis=1)
    before, after = (cross_fit_temperature(chosen, probs, folds)[0] for chosen in (labels, other))
    assert (before[folds == 1] == after[folds == 1]).all()
    assert (before[folds == 0] != after[folds == 0]).any()


def test_rows_without_a_label_get_the_temperature_of_all() -> None:
    labels, probs = drawn(300, 2.0)
    folds = np.arange(300) % 3
    labels[:50], folds[:50] = -1, -1
    calibrated, temperature = cross_fit_temperature(labels, probs, folds)
    assert calibrated[:50] == pytest.approx(at_temperature(probs[:50], temperature))


def test_zero_probabilities_stay_finite() -> None:
    probs = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    assert np.isfinite(at_temperature(probs, 2.0)).all()
    assert np.isfinite(nll(np.array([1, 1]), probs))
    assert fit_temperature(np.array([], np.int64), np.empty((0, 2), np.float32)) == 1.0
