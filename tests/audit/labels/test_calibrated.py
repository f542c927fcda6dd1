"""A score becomes a probability: the curve is the right one, and not before there are enough answers."""

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from secondlook.pipeline.audit.labels import calibrated
from secondlook.pipeline.audit.labels.calibrated import Calibrator, Curve, NotYet, curve, fit, leverage, logits
from secondlook.pipeline.core.errors import UserError

Array = npt.NDArray[np.float64]


def answers(n: int, seed: int = 0) -> tuple[Array, npt.NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    return score, rng.random(n) < expit(1.7 * logits(score) - 1.2)


def slow(x: Array, y: Array, weight: Array, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Curve:
    """The same posterior, written down and minimized by a general method."""
    scaled = weight * weight.sum() / (weight**2).sum()

    def loss(at: Array) -> float:
        p = expit(at[0] * x + at[1])
        prior = sum(((at[k] - mean[k]) / deviation[k]) ** 2 / 2 for k in range(2))
        return float(-(scaled * (y * np.log(p + 1e-300) + (1 - y) * np.log(1 - p + 1e-300))).sum() + prior)

    found = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 10_000})
    return Curve(*found.x)


@pytest.mark.parametrize("seed", range(4))
def test_the_curve_is_the_most_probable_one(seed: int) -> None:
    score, wrong = answers(150, seed)
    weight = np.random.default_rng(seed).uniform(0.2, 5, 150)
    found = curve(logits(score), wrong.astype(float), weight)
    wanted = slow(
        logits(score),
        wrong.astype(float),
        weight,
        calibrated.SLOPE[:1] + calibrated.INTERCEPT[:1],
        calibrated.SLOPE[1:] + calibrated.INTERCEPT[1:],
    )
    assert found == pytest.approx(wanted, abs=1e-4)


def test_a_group_begins_at_the_curve_of_all() -> None:
    score, wrong = answers(30)
    near = Curve(3.0, 0.5)
    wanted = slow(logits(score), wrong.astype(float), np.ones(30), near, calibrated.NEAR)
    assert curve(logits(score), wrong.astype(float), np.ones(30), near) == pytest.approx(wanted, abs=1e-4)


def test_it_finds_the_truth_with_many_answers() -> None:
    score, wrong = answers(50_000)
    found = fit(score, wrong)
    assert isinstance(found, Calibrator)
    assert [found.slope, found.intercept] == pytest.approx([1.7, -1.2], abs=0.06)
    assert (found.answers, found.wrong) == (50_000, wrong.sum())


def test_weights_undo_that_doubted_labels_were_drawn_more_often() -> None:
    """Where the curve is not the truth's shape, only weighted answers have the mean of all labels."""
    rng = np.random.default_rng(1)
    score = rng.random(40_000)
    wrong = rng.random(40_000) < np.where(score > 0.5, 0.6, 0.05)
    inclusion = np.where(score > 0.4, 0.2, 0.01)
    drawn = rng.random(40_000) < inclusion
    weighted, plain = fit(score[drawn], wrong[drawn], 1 / inclusion[drawn]), fit(score[drawn], wrong[drawn])
    assert isinstance(weighted, Calibrator)
    assert isinstance(plain, Calibrator)
    assert abs(weighted(score).mean() - wrong.mean()) < 0.01 < abs(plain(score).mean() - wrong.mean())


def test_fewer_than_a_hundred_answers_leave_a_score() -> None:
    score, wrong = answers(99)
    assert fit(score, wrong) == NotYet(99, 100)
    assert isinstance(fit(score, wrong, needed=99), Calibrator)
    assert fit([], []) == NotYet(0)


def test_a_score_that_lies_is_left_out_rather_than_turned_around() -> None:
    score, wrong = answers(400)
    found = fit(1 - score, wrong)
    assert isinstance(found, Calibrator)
    assert found.slope == 0.0
    assert found([0.1, 0.9]) == pytest.approx([wrong.mean()] * 2, abs=0.01)


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_answers_of_one_kind_still_give_a_curve(wrong: float) -> None:
    found = fit(np.linspace(0, 1, 200), np.full(200, wrong))
    assert isinstance(found, Calibrator)
    assert abs(found(np.linspace(0, 1, 200)).mean() - wrong) < 0.05


def test_leverage_is_that_of_dropping_an_answer() -> None:
    """To first order: leaving an answer out moves its own prediction by leverage * residual."""
    score, wrong = answers(60)
    x, y, one = logits(score), wrong.astype(float), np.ones(60)
    fitted = curve(x, y, one)
    lever = leverage(x, one, fitted)
    assert 0 < lever.min() < lever.max() < 1
    p = expit(fitted.slope * x + fitted.intercept)
    for row in (0, 7, 23):
        keep = np.arange(60) != row
        without = curve(x[keep], y[keep], one[keep])
        moved = float(p[row] - expit(without.slope * x[row] + without.intercept))
        assert moved == pytest.approx(float(lever[row] * (y[row] - p[row]) / (1 - lever[row])), abs=0.02)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0.01, 100)), min_size=2, max_size=40))
def test_any_answers_give_probabilities_in_the_order_of_the_scores(rows: list[tuple[float, bool, float]]) -> None:
    score, wrong, weight = (np.array(column) for column in zip(*rows, strict=True))
    found = fit(score, wrong, weight, needed=1)
    assert isinstance(found, Calibrator)
    grid = found(np.linspace(0, 1, 50))
    assert ((grid >= 0) & (grid <= 1)).all()
    assert (np.diff(grid) >= 0).all()
    assert np.isnan(found([np.nan, 0.5])).tolist() == [True, False]
    assert Calibrator.from_json(json.loads(json.dumps(found.as_json()))) == found


@pytest.mark.parametrize(
    ("score", "weight", "message"),
    [
        ([0.1, 1.2], [1, 1], "between 0 and 1, got 1.2"),
        ([0.1, np.nan], [1, 1], "between 0 and 1, got nan"),
        ([0.1, 0.2], [1, 0], "positive and finite"),
        ([0.1, 0.2], [1, 1, 1], "row by row"),
    ],
)
def test_what_is_no_answer_is_refused(score: list[float], weight: list[float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fit(score, [True, False], weight)
