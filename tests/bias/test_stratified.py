"""A difference among the like: by hand, against all ways to deal hits out, and against statsmodels."""

from itertools import combinations, product

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import StratifiedTable

from secondlook.pipeline.bias import stratified
from secondlook.pipeline.bias.stratified import Strata, difference, p_value


def strata(*tables: tuple[int, int, int, int]) -> Strata:
    """Of each stratum: hits and pictures in the group, hits and pictures outside."""
    return Strata(*np.array(tables, np.int64).reshape(-1, 4).T)


def slow_p(tables: list[tuple[int, int, int, int]]) -> float:
    """Every way to deal the hits of each stratum out over its pictures."""
    sums = [
        [sum(at < n for at in chosen) for chosen in combinations(range(n + others), hits + other_hits)]
        for hits, n, other_hits, others in tables
    ]
    dealt = np.array([sum(one) for one in product(*sums)])
    found = sum(hits for hits, *_ in tables)
    return float(min(2 * min((dealt <= found).mean(), (dealt >= found).mean()), 1.0))


@pytest.mark.parametrize(
    "tables",
    [
        [(3, 4, 1, 4)],
        [(3, 4, 1, 4), (2, 3, 1, 4)],
        [(0, 3, 4, 5), (1, 2, 2, 2), (0, 4, 0, 1)],
        [(2, 2, 0, 0)],  # a stratum without others says nothing
    ],
)
def test_p_is_that_of_all_ways_to_deal_the_hits_out(tables: list[tuple[int, int, int, int]]) -> None:
    assert p_value(strata(*tables)) == pytest.approx(slow_p(tables), abs=1e-12)


def test_in_large_strata_it_is_the_test_of_cochran_mantel_and_haenszel() -> None:
    tables = [(55, 300, 110, 700), (80, 200, 310, 900)]
    peer = StratifiedTable([np.array([[a, n - a], [b, m - b]]) for a, n, b, m in tables]).test_null_odds(
        correction=True
    )
    assert p_value(strata(*tables)) == pytest.approx(peer.pvalue, rel=0.05)
    assert 0.001 < peer.pvalue < 0.1


def test_a_hit_that_goes_with_the_stratum_alone_is_no_difference() -> None:
    """Simpson's paradox: the group has more hits only because it has more of the hard stratum."""
    told = strata((80, 100, 8, 10), (1, 10, 10, 100))
    assert p_value(told) == 1.0
    assert difference(told, 0.95)[0] == pytest.approx(0.0, abs=1e-12)


def test_above_what_can_be_summed_the_normal_tail_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    told = strata((55, 300, 110, 700), (80, 200, 310, 900))
    exact = p_value(told)
    monkeypatch.setattr(stratified, "LONGEST", 10)
    assert p_value(told) == pytest.approx(exact, rel=0.1)


def test_one_stratum_has_the_plain_difference() -> None:
    value, interval = difference(strata((30, 100, 40, 200)), 0.95)
    assert value == pytest.approx(0.3 - 0.2)
    wald = 1.96 * (0.3 * 0.7 / 100 + 0.2 * 0.8 / 200) ** 0.5
    assert (interval.low, interval.high) == pytest.approx((0.1 - wald, 0.1 + wald), abs=0.003)


def test_nothing_to_compare_is_everything_possible() -> None:
    value, interval = difference(strata((2, 2, 0, 0)), 0.95)
    assert np.isnan(value)
    assert (interval.low, interval.high) == (-1.0, 1.0)


def test_intervals_hold_the_difference_that_was_planted() -> None:
    rng = np.random.default_rng(3)
    n, others, base = np.array([40, 60, 20]), np.array([90, 50, 200]), np.array([0.1, 0.3, 0.5])
    held = 0
    for _ in range(2000):
        drawn = Strata(rng.binomial(n, base + 0.15), n, rng.binomial(others, base), others)
        interval = difference(drawn, 0.95)[1]
        held += interval.low <= 0.15 <= interval.high
    assert held / 2000 > 0.935
