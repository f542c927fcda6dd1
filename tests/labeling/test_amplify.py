"""Amplification: scores that have not seen the answer, and thresholds whose promise holds."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from secondlook.labeling import amplify
from secondlook.labeling.amplify import NOBODY, NotYet, Sure


def answers(n: int, d: int, classes: int = 3, seed: int = 0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    centers = rng.normal(size=(classes, d)) * 2
    return (centers[labels] + rng.normal(size=(n, d))).astype(np.float32), labels.astype(np.int64)


def rooted(vectors: npt.NDArray[np.float32]) -> Any:
    return np.sign(vectors) * np.sqrt(np.abs(vectors))


def evenly(high: float, low: float, n: int) -> npt.NDArray[np.float64]:
    return np.asarray(np.linspace(high, low, n), np.float64)


def test_held_out_scores_are_those_of_refits_without_the_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the obvious definition: ridge regression with an intercept, fitted again for each answer without it."""
    monkeypatch.setattr(amplify, "PENALTIES", np.array([0.1]))
    vectors, labels = answers(60, 5)
    made = amplify.fit(vectors, labels, 3)
    roots = rooted(vectors)
    features = (roots - roots.mean(axis=0)) / roots.std(axis=0)
    targets = (labels[:, None] == np.arange(3)).astype(float)
    for left_out in (0, 17, 59):
        rest = np.delete(np.arange(60), left_out)
        x = np.column_stack([features[rest], np.ones(59)])
        penalty = np.diag([0.1 * 60] * 5 + [0.0])
        weights = np.linalg.solve(x.T @ x + penalty, x.T @ targets[rest])
        score = np.append(features[left_out], 1.0) @ weights
        sigmoid = 1 / (1 + np.exp(-(score * made.classifier.slope + made.classifier.shift)))
        np.testing.assert_allclose(made.held_out[left_out], sigmoid, atol=1e-5)


def test_more_features_than_answers_take_the_other_way_to_the_same_result() -> None:
    vectors, labels = answers(60, 5)
    wide = np.hstack([vectors, np.zeros((60, 90), np.float32)])
    few, many = amplify.fit(vectors, labels, 3), amplify.fit(wide, labels, 3)
    np.testing.assert_allclose(few.held_out, many.held_out, atol=1e-6)
    new, _ = answers(20, 5, seed=1)
    np.testing.assert_allclose(
        few.classifier.probabilities(new),
        many.classifier.probabilities(np.hstack([new, np.zeros((20, 90), np.float32)])),
        atol=1e-4,
    )


def test_probabilities_are_those_of_platt_at_its_optimum() -> None:
    vectors, labels = answers(200, 4, classes=2)
    made = amplify.fit(vectors, labels, 2)
    right = labels == 0
    soft = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))
    score = (
        np.log(made.held_out[:, 0] / (1 - made.held_out[:, 0])) - made.classifier.shift[0]
    ) / made.classifier.slope[0]
    assert abs((made.held_out[:, 0] - soft).sum()) < 1e-4
    assert abs(((made.held_out[:, 0] - soft) * score).sum()) < 1e-4


def test_a_class_with_few_answers_is_never_sure_and_nobodys_pictures_are_of_no_class() -> None:
    vectors, labels = answers(100, 4)
    labels[labels == 2] = NOBODY
    labels[:9] = 2
    made = amplify.fit(vectors, labels, 3)
    assert made.held_out[:, 2].max() < 1e-100
    assert set(amplify.best_two(made.held_out)[0].tolist()) <= {0, 1}
    one_class = amplify.fit(vectors, np.zeros(100, np.int64), 1)
    assert np.isfinite(one_class.held_out).all()


def test_how_many_right_answers_it_takes() -> None:
    assert (amplify.needed(0.01, 0.95), amplify.needed(0.05, 0.95)) == (299, 59)
    high = evenly(0.99, 0.999, 59)
    assert isinstance(amplify.sure(high[:58], np.ones(58, bool), 0.05), NotYet)
    assert amplify.sure(high[:58], np.ones(58, bool), 0.05) == NotYet(58, 0, 59)
    held = amplify.sure(high, np.ones(59, bool), 0.05)
    assert isinstance(held, Sure)
    assert (held.threshold, held.answers, held.wrong) == (0.99, 59, 0)
    assert held.error == pytest.approx(1 - 0.05 ** (1 / 59))
    assert isinstance(amplify.sure(high, np.arange(59) != 30, 0.05), NotYet)


def test_the_threshold_goes_down_until_a_test_fails() -> None:
    probability = evenly(0.999, 0.5, 400)
    right = np.arange(400) < 200
    held = amplify.sure(probability, right, 0.05)
    assert isinstance(held, Sure)
    assert 150 < held.answers < 230
    assert binom.cdf(held.wrong, held.answers, 0.05) <= 0.05
    assert held.threshold == probability[held.answers - 1]


def test_equal_probabilities_are_never_parted() -> None:
    held = amplify.sure(np.full(100, 0.9), np.arange(100) >= 2, 0.10)
    assert isinstance(held, Sure)
    assert (held.answers, held.wrong, held.threshold) == (100, 2, 0.9)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 400), error=st.sampled_from([0.02, 0.05, 0.2]))
def test_what_is_promised_was_tested(seed: int, n: int, error: float) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.beta(5, 1, n).round(2)
    right = rng.random(n) < probability
    held = amplify.sure(probability, right, error)
    if isinstance(held, Sure):
        at_or_above = probability >= held.threshold
        assert (held.answers, held.wrong) == (at_or_above.sum(), (~right[at_or_above]).sum())
        assert held.wrong / held.answers <= held.error <= error + 1e-12
    else:
        assert held.needed == amplify.needed(error, 0.95)


@pytest.mark.parametrize("honest", [True, False])
def test_the_promise_is_broken_in_at_most_one_of_twenty(honest: bool) -> None:
    """True error by score is known here: how often is it above the bound at and above the threshold, also where probabilities lie?"""
    rng, broken, trials = np.random.default_rng(5), 0, 600
    grid = np.linspace(0, 1, 2_001)
    for _ in range(trials):
        score = rng.random(300)
        right = rng.random(300) > (1 - score) * 0.4
        held = amplify.sure(score if honest else score**0.05, right, 0.10)
        if isinstance(held, Sure):
            least = held.threshold if honest else held.threshold**20
            broken += float(((1 - grid[grid >= least]) * 0.4).mean()) > 0.10
    assert broken / trials <= 0.05 + 2 * (0.05 * 0.95 / trials) ** 0.5


def test_each_class_by_itself_or_all_together() -> None:
    held_out = np.zeros((200, 3))
    held_out[:100, 0] = held_out[100:, 1] = 0.9
    held_out[:, 2] = 0.1
    labels = np.repeat([0, 1], 100)
    labels[150:] = NOBODY
    drawn = np.ones(200, bool)
    each = amplify.thresholds(held_out, labels, drawn, error=0.05)
    assert isinstance(each[0], Sure)
    assert each[1] == NotYet(100, 50, 59)
    assert each[2] == NotYet(0, 0, 59)
    both = amplify.thresholds(held_out, labels, drawn, error=0.05, together=True)
    assert set(both.values()) == {NotYet(200, 50, 59)}
    few = amplify.thresholds(held_out, labels, np.arange(200) < 50, error=0.05, classes=[0])
    assert few == {0: NotYet(50, 0, 59)}
