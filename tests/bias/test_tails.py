"""p of a count of hits in a group: by hand, against scipy, against all ways to deal the hits out."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact, hypergeom

from secondlook.pipeline.bias import tails
from secondlook.pipeline.bias.tails import Tails


def slow(total: int, hits: int, n: int, found: int) -> float:
    """Blaker's p from every way to deal the hits out: how often the smaller tail is no larger."""
    dealt = np.array([sum(at < n for at in chosen) for chosen in combinations(range(total), hits)])
    smaller = np.minimum((dealt[:, None] <= dealt).mean(axis=0), (dealt[:, None] >= dealt).mean(axis=0))
    mine = min((dealt <= found).mean(), (dealt >= found).mean())
    return float((smaller <= mine + 1e-12).mean())


@pytest.mark.parametrize(
    ("total", "hits", "n"), [(8, 3, 4), (9, 2, 3), (10, 5, 2), (7, 7, 3), (7, 0, 3), (6, 2, 0), (6, 2, 6)]
)
def test_p_is_that_of_all_ways_to_deal_the_hits_out(total: int, hits: int, n: int) -> None:
    found = np.arange(max(0, n + hits - total), min(n, hits) + 1)
    p = Tails(total, hits).p(found, np.full(len(found), n))
    assert p == pytest.approx([slow(total, hits, n, int(one)) for one in found], abs=1e-12)


def test_by_hand_two_of_the_252_ways() -> None:
    # 5 of 5 against 0 of 5: only this and its mirror are as rare.
    assert Tails(10, 5).p([5], [5])[0] == pytest.approx(2 / 252)


@given(st.integers(2, 400), st.data())
def test_p_is_between_the_smaller_tail_and_twice_it(total: int, data: st.DataObject) -> None:
    hits, n = data.draw(st.integers(0, total)), data.draw(st.integers(0, total))
    found = data.draw(st.integers(max(0, n + hits - total), min(n, hits)))
    smaller = min(hypergeom.cdf(found, total, hits, n), hypergeom.sf(found - 1, total, hits, n))
    p = float(Tails(total, hits).p([found], [n])[0])
    assert smaller * (1 - 1e-6) <= p <= min(2 * smaller, 1) * (1 + 1e-6)
    # The same of the rest of the pictures, and of misses for hits.
    assert p == pytest.approx(float(Tails(total, hits).p([hits - found], [total - n])[0]), rel=1e-6)
    assert p == pytest.approx(float(Tails(total, total - hits).p([n - found], [n])[0]), rel=1e-6)


@given(st.integers(2, 300), st.data())
def test_p_is_at_or_below_a_with_a_chance_of_at_most_a(total: int, data: st.DataObject) -> None:
    hits, n = data.draw(st.integers(0, total)), data.draw(st.integers(0, total))
    _, chance = tails.chances(total, hits, n)
    p = tails.blaker(chance)
    for one in p:
        assert chance[p <= one].sum() <= one * (1 + 1e-9)


def test_it_is_close_to_the_usual_fisher_test_where_that_is_symmetric() -> None:
    p = Tails(40, 20).p([15], [20])[0]
    assert p == pytest.approx(fisher_exact([[15, 5], [5, 15]]).pvalue, rel=1e-9)


def test_large_groups_are_normal_and_agree_with_the_exact_test() -> None:
    total, hits, n = 2_000_000, 300_000, 400_000
    exact = Tails(total, hits)
    assert exact.variance([n])[0] > tails.NORMAL
    spread = float(exact.variance([n])[0] ** 0.5)
    for off in (-4.5, -2.0, 0.0, 1.0, 3.0, 5.0):
        found = round(n * hits / total + off * spread)
        two = 2 * min(hypergeom.cdf(found, total, hits, n), hypergeom.sf(found - 1, total, hits, n))
        assert exact.p([found], [n])[0] == pytest.approx(min(two, 1), rel=0.05)


def test_counts_beyond_the_table_are_as_rare_as_its_end() -> None:
    assert Tails(100_000, 50_000).p([10_000], [10_000])[0] < 1e-20
