"""Precision, recall and F1 of flags: by hand, against scikit-learn, and what their intervals promise."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from secondlook.pipeline.audit.labels.scores import best_f1, detection


def made(seed: int, n: int = 200) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    rng = np.random.default_rng(seed)
    wrong = rng.random(n) < 0.2
    return np.where(rng.random(n) < 0.8, wrong, ~wrong), wrong


def test_agrees_with_scikit_learn() -> None:
    flagged, wrong = made(1)
    found = detection(flagged, wrong, np.random.default_rng(0))
    assert found.precision.value == pytest.approx(precision_score(wrong, flagged))
    assert found.recall.value == pytest.approx(recall_score(wrong, flagged))
    assert found.f1 == pytest.approx(f1_score(wrong, flagged))
    summary = found.summary()
    assert (summary["n"], summary["flagged"], summary["wrong"]) == (200, int(flagged.sum()), int(wrong.sum()))


def test_the_interval_is_the_spread_of_f1_when_labels_are_drawn_again() -> None:
    flagged, wrong = made(2)
    interval = detection(flagged, wrong, np.random.default_rng(0)).f1_interval
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(2000):  # the slow and obvious bootstrap, label by label
        rows = rng.integers(0, len(wrong), len(wrong))
        drawn.append(2 * (flagged & wrong)[rows].sum() / (flagged[rows].sum() + wrong[rows].sum()))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert interval.low == pytest.approx(low, abs=0.015)
    assert interval.high == pytest.approx(high, abs=0.015)


def test_nothing_flagged_and_nothing_wrong() -> None:
    nothing, rng = np.zeros(5, bool), np.random.default_rng(0)
    found = detection(nothing, nothing, rng)
    assert np.isnan(found.f1)
    assert (found.f1_interval.low, found.f1_interval.high) == (0.0, 1.0)
    missed = detection(nothing, ~nothing, rng)
    assert (missed.f1, missed.recall.value, missed.f1_interval.high) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="same length"):
        detection(nothing, nothing[:3], rng)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
@settings(deadline=None, max_examples=50)
def test_best_f1_is_the_best_of_all_thresholds(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    score, wrong = rng.integers(0, levels, 30) / levels, rng.random(30) < 0.3
    wrong[0] = True
    best = best_f1(score, wrong)
    every = {t: detection(score >= t, wrong, rng).f1 for t in np.unique(score)}
    assert best.f1 == pytest.approx(max(every.values()))
    assert every[best.threshold] == pytest.approx(best.f1)
    assert best.flagged == (score >= best.threshold).sum()


def test_best_f1_needs_something_to_find() -> None:
    with pytest.raises(ValueError, match="at least one wrong label"):
        best_f1([0.5], [False])
