"""Shares of strata put together: Wilson and Newcombe where there is one stratum, and coverage where nothing was seen in one."""

import numpy as np
import pytest

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


def test_a_difference_is_newcombes_and_p_is_where_it_reaches_zero() -> None:
    first, second = one(56, 70), one(48, 80)
    (found,) = differences(first, second, 0.95)
    low, high = newcombe((56, 70), (48, 80))
    assert (found.interval.low, found.interval.high) == pytest.approx((float(low), float(high)), abs=1e-9)
    p = float(p_values(first, second)[0])
    (at,) = differences(first, second, 1 - p)
    assert at.interval.low == pytest.approx(0, abs=1e-9)
    assert p_values(first, first)[0] == 1


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
        (found,) = Combined(k[None] * 1.0, n[None] * 1.0, part[None], np.zeros(1)).estimates(0.95)
        held += found.interval.low <= part @ true <= found.interval.high
    assert held / 600 >= 0.93
