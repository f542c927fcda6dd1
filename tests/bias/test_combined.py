"""Shares of strata put together: Wilson and Newcombe where there is one stratum, and coverage where nothing was seen in one."""

import numpy as np
import pytest
from scipy import stats

from secondlook.pipeline.bias.combined import Combined, differences, p_values
from secondlook.pipeline.core.statistics import differences as newcombe
from secondlook.pipeline.core.statistics import wilson


def one(k: float, n: float) -> Combined:
    return Combined(np.array([[k]]), np.array([[n]]), np.ones((1, 1)), np.zeros(1))


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 17), (50, 50), (400, 1000)])
def test_one_stratum_is_wilson(k: int, n: int) -> None:
    (found,) = one(k, n).estimates(0.95)
    plain = wilson(k, n)
    assert (found.value, found.interval.low, found.interval.high) == pytest.approx(
        (k / n, plain.low, plain.high), abs=1e-12
    )


def test_a_difference_is_newcombes_and_p_is_no_smaller_than_where_it_reaches_zero() -> None:
    first, second = one(56, 70), one(48, 80)
    (found,) = differences(first, second, 0.95)
    low, high = newcombe((56, 70), (48, 80))
    assert (found.interval.low, found.interval.high) == pytest.approx((float(low), float(high)), abs=1e-9)
    p = float(p_values(first, second)[0])
    (at,) = differences(first, second, 1 - p)
    assert at.interval.low >= 0
    assert p < 0.02
    assert p_values(first, first)[0] == 1


def test_few_hits_in_two_strata_are_not_sure() -> None:
    """2 of 8, one in each stratum, beside 2 % of 10,000: what the binomial says is 0.01, and p is not below half of it."""
    few = Combined(np.array([[1.0, 1.0]]), np.array([[3.0, 5.0]]), np.array([[0.375, 0.625]]), np.zeros(1))
    p = float(p_values(few, one(200, 10_000))[0])
    assert 0.5 * stats.binom.sf(1, 8, 0.02) < p < 0.1


@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_p_of_nothing_is_seldom_small(alpha: float) -> None:
    """Strata whose shares are alike in both sets: p at or below alpha as often as alpha says, or less."""
    rng = np.random.default_rng(8)
    true, sizes, part = np.array([0.015, 0.06]), (np.array([12, 8]), np.array([600, 250])), np.array([[0.7, 0.3]])
    draws = 8000
    both = [
        Combined(
            np.asarray(rng.binomial(n, true, (draws, 2)) + 2 * true, np.float64),
            np.tile(n + 2.0, (draws, 1)),
            np.tile(part, (draws, 1)),
            np.zeros(draws),
        )
        for n in sizes
    ]
    assert (p_values(both[0], both[1]) <= alpha).mean() <= alpha + 2 * (alpha / draws) ** 0.5


def test_an_empty_stratum_leaves_open_what_could_be_in_it() -> None:
    """Nine tenths of the pictures with no wrong one of 20 answers: up to 0.9 of Wilson's upper end of 0 of 20."""
    parts = Combined(np.array([[10.0, 0.0]]), np.array([[20.0, 20.0]]), np.array([[0.1, 0.9]]), np.zeros(1))
    (found,) = parts.estimates(0.95)
    assert found.value == pytest.approx(0.05)
    assert found.interval.high - found.value >= 0.9 * wilson(0, 20).high
    assert found.interval.low > 0.02


def test_weighted_shares_are_covered() -> None:
    rng, held = np.random.default_rng(5), 0
    n, part, true = np.array([40, 40]), np.array([0.15, 0.85]), np.array([0.4, 0.02])
    for _ in range(600):
        k = rng.binomial(n, true)
        (found,) = Combined(k[None].astype(np.float64), n[None].astype(np.float64), part[None], np.zeros(1)).estimates(
            0.95
        )
        held += found.interval.low <= part @ true <= found.interval.high
    assert held / 600 >= 0.93
