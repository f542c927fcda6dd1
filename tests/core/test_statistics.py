"""Intervals and calibration, against values of the literature, scipy, slow definitions and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from secondlook.pipeline.core.statistics import (
    EXACT_BELOW,
    calibration_chance,
    calibration_error,
    clopper_pearson,
    differences,
    holm,
    intervals,
    share,
    wilson,
)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    # Newcombe 1998, table I, method 3 (Wilson score without continuity correction), 95 %.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(k: int, n: int, low: float, high: float) -> None:
    interval = wilson(k, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@settings(deadline=None)
@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_agrees_with_scipy_and_holds_the_share(pair: tuple[int, int], level: float) -> None:
    k, n = pair
    ours, theirs = wilson(k, n, level), binomtest(k, n).proportion_ci(level, method="wilson")
    assert ours.low == pytest.approx(theirs.low, abs=1e-9)
    assert ours.high == pytest.approx(theirs.high, abs=1e-9)
    assert 0.0 <= ours.low <= k / n <= ours.high <= 1.0


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    # Newcombe 1998, table I, method 5 (Clopper-Pearson), 95 %.
    [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
)
def test_clopper_pearson_gives_the_published_intervals(k: int, n: int, low: float, high: float) -> None:
    interval = clopper_pearson(k, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@given(st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_few_pictures_have_exact_intervals_and_many_wilsons(pair: tuple[int, int], level: float) -> None:
    k, n = pair
    low, high = intervals([k], [n], level)
    expected = clopper_pearson(k, n, level) if n < EXACT_BELOW else wilson(k, n, level)
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-12)
    if n:
        theirs = proportion_confint(k, n, 1 - level, method="beta" if n < EXACT_BELOW else "wilson")
        assert (low[0], high[0]) == pytest.approx(theirs, abs=1e-9)
    else:
        assert (low[0], high[0]) == (0.0, 1.0)


def test_exact_intervals_cover_at_least_as_often_as_they_promise() -> None:
    for n in (1, 5, 10, 39):
        low, high = intervals(np.arange(n + 1), n)
        for truth in np.linspace(0.002, 0.998, 250):
            assert binom.pmf(np.arange(n + 1), n, truth)[(low <= truth) & (truth <= high)].sum() >= 0.95 - 1e-9


@given(st.integers(40, 300), st.integers(40, 300), st.data())
def test_differences_agree_with_statsmodels(n: int, m: int, data: st.DataObject) -> None:
    k, j = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    theirs = confint_proportions_2indep(k, n, j, m, compare="diff", method="newcomb")
    assert [float(end) for end in differences((k, n), (j, m))] == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(("n", "rest"), [(5, 40), (5, 300), (12, 12), (25, 300), (39, 100)])
def test_differences_cover_at_least_as_often_as_they_promise_down_to_five(n: int, rest: int) -> None:
    """Over all tables that could come, for shares from 1 to 50 percent on either side."""
    k, j = np.arange(n + 1)[:, None], np.arange(rest + 1)
    low, high = differences((np.broadcast_to(k, (n + 1, rest + 1)), n), (np.broadcast_to(j, (n + 1, rest + 1)), rest))
    for one in (0.01, 0.05, 0.1, 0.25, 0.5):
        for other in (0.01, 0.05, 0.1, 0.25, 0.5):
            chance = binom.pmf(k, n, one) * binom.pmf(j, rest, other)
            assert chance[(low <= one - other + 1e-12) & (one - other <= high + 1e-12)].sum() >= 0.95


@settings(max_examples=15)  # statsmodels collects garbage at each call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_agrees_with_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


def test_what_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="part of n"):
        intervals([3], [2])
    with pytest.raises(ValueError, match="between 0 and 1"):
        clopper_pearson(1, 2, 1.0)


def test_a_share_of_nothing_says_that_nothing_is_known() -> None:
    empty = share(0, 0)
    assert (empty.interval.low, empty.interval.high) == (0.0, 1.0)
    assert math.isnan(empty.value)
    assert share(3, 4).value == 0.75


@pytest.mark.parametrize(("k", "n", "level", "sentence"), [(5, 4, 0.95, "got 5"), (1, 4, 1.0, "got 1.0")])
def test_impossible_counts_and_levels_are_refused(k: int, n: int, level: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        wilson(k, n, level)


def test_calibration_error_by_hand() -> None:
    # Two at 0.9 of which one is right: gap 0.4; two at 0.6, both right: gap 0.4. Weighted mean 0.4.
    assert calibration_error([0.9, 0.9, 0.6, 0.6], [True, False, True, True]) == pytest.approx(0.4)
    assert math.isnan(calibration_error([], []))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 20))
def test_calibration_error_is_what_the_definition_says(rows: list[tuple[float, bool]], bins: int) -> None:
    slow = 0.0
    for b in range(bins):
        inside = [
            (p, right) for p, right in rows if (math.ceil(p * bins) - 1 == b) or (b == 0 and math.ceil(p * bins) == 0)
        ]
        if inside:
            accuracy = sum(right for _, right in inside) / len(inside)
            confidence = sum(p for p, _ in inside) / len(inside)
            slow += len(inside) / len(rows) * abs(accuracy - confidence)
    confidences, correct = zip(*rows, strict=True)
    assert calibration_error(confidences, correct, bins) == pytest.approx(slow)


def test_a_calibrated_model_stays_below_chance_as_often_as_said_and_others_do_not() -> None:
    rng = np.random.default_rng(3)
    below = caught = 0
    for _ in range(60):
        p = rng.uniform(0.3, 0.95, 400)
        chance = calibration_chance(p, rng, draws=100)
        below += calibration_error(p, rng.random(400) < p) <= chance
        caught += calibration_error(p, rng.random(400) < p - 0.15) > chance
    assert below >= 50  # 57 of 60 are expected; the chance of fewer than 50 is below 0.001
    assert caught >= 58


def test_chance_is_the_same_for_the_same_seed_and_unknown_without_data() -> None:
    p = np.linspace(0.2, 0.9, 50)
    first, second = (calibration_chance(p, np.random.default_rng(1)) for _ in range(2))
    assert first == second > 0
    assert math.isnan(calibration_chance([], np.random.default_rng(1)))
