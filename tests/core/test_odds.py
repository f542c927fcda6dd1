"""Log odds against a label: by hand, against a slow definition, and what must hold for all of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.core import odds
from secondlook.pipeline.core.odds import as_score, log_odds_against


def slow(label: int, row: list[float]) -> float:
    others = [p for number, p in enumerate(row) if number != label]
    return math.log(max(*others, odds.TINY)) - math.log(max(row[label], odds.TINY))


def test_by_hand() -> None:
    probs = np.array([[0.2, 0.8, 0.0], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    found = as_score(log_odds_against(np.array([0, 1, -1, 1]), probs))
    assert found[[0, 1, 3]] == pytest.approx([0.8, 0.2, 0.5], abs=1e-6)
    assert np.isnan(found[2])


def test_a_probability_of_zero_is_only_as_sure_as_rounding() -> None:
    found = log_odds_against(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert found == pytest.approx([-math.log(odds.TINY), math.log(odds.TINY)], rel=1e-6)
    assert (as_score(found) < 1).all()


def test_one_class_leaves_nothing_to_compare() -> None:
    assert np.isnan(log_odds_against(np.array([0, 0]), np.ones((2, 1)))).all()


def test_no_rows() -> None:
    assert log_odds_against(np.zeros(0, np.int64), np.zeros((0, 3))).shape == (0,)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(4), 50), rng.integers(-1, 4, 50)
    whole = log_odds_against(labels, probs)
    monkeypatch.setattr(odds, "BLOCK", 7)
    assert np.array_equal(whole, log_odds_against(labels, probs), equal_nan=True)


@given(st.integers(0, 10**6), st.integers(2, 1000))
def test_against_the_definition(seed: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    probs, labels = rng.dirichlet(np.full(n_classes, 0.1), 3), rng.integers(0, n_classes, 3)
    wanted = [slow(label, row) for label, row in zip(labels.tolist(), probs.tolist(), strict=True)]
    assert log_odds_against(labels, probs) == pytest.approx(wanted, abs=1e-4)


@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=9))
def test_scores_are_ordered_as_log_odds_and_tie_at_a_half(values: list[float]) -> None:
    scores = as_score(np.sort(np.array(values)))
    assert (np.diff(scores) >= 0).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert as_score(np.zeros(1))[0] == 0.5
