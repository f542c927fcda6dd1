"""Two models on the same pictures: against the exact law of discordant pairs, a slow loop, statsmodels, and how often intervals cover."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln, xlogy
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from secondlook.pipeline.core.paired import (
    bootstrap,
    compare,
    corrected,
    design_effect,
    paired_interval,
    swap_test,
    units,
)

RNG = np.random.default_rng


def judged(neither: int, lost: int, gained: int, both: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which pictures each of two models has right."""
    n = [neither, lost, gained, both]
    return np.repeat([False, True, False, True], n), np.repeat([False, False, True, True], n)


def test_by_hand() -> None:
    before, after = judged(100, 20, 60, 820)
    found = compare(before, after, RNG(1))
    assert (found.n, found.gained, found.lost) == (1000, 60, 20)
    assert (found.before, found.after, found.difference) == pytest.approx((0.84, 0.88, 0.04))
    # Of the normal law: 0.04 ± 1.96 sqrt(0.08 - 0.04²) / sqrt(1000)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.0226, 0.0574), abs=0.0015)
    assert found.p == pytest.approx(mcnemar([[0, 20], [60, 0]], exact=True).pvalue)
    assert found.helped() is True
    assert compare(after, before, RNG(1)).helped() is False
    assert compare(before, before, RNG(1)).helped() is None


def law(n: int, gained: int, lost: int) -> npt.NDArray[np.float64]:
    """The chance of each sum from -n to n of n pictures drawn again: their law, n times convolved with itself, by doubling."""
    one: npt.NDArray[Any] = np.array([lost, n - gained - lost, gained]) / n
    result: npt.NDArray[Any] = np.ones(1)
    left = n
    while left:
        if left % 2:
            result = np.convolve(result, one)
        one, left = np.convolve(one, one), left // 2
    return result


@pytest.mark.parametrize(("n", "gained", "lost"), [(60, 12, 5), (400, 30, 30), (1000, 60, 20)])
def test_the_bootstrap_is_the_exact_law_of_discordant_pairs(n: int, gained: int, lost: int) -> None:
    before, after = judged(n - gained - lost, lost, gained, 0)
    drawn = bootstrap(units(after.astype(int) - before), RNG(2), 40_000)
    exact, sums = law(n, gained, lost), np.arange(-n, n + 1)
    found = np.bincount(np.rint(drawn * n).astype(int) + n, minlength=2 * n + 1) / len(drawn)
    assert np.abs(np.cumsum(found) - np.cumsum(exact)).max() < 1.63 / np.sqrt(len(drawn))  # Kolmogorov, 1 %
    interval = compare(before, after, RNG(3), draws=40_000).interval
    ends = [sums[np.searchsorted(np.cumsum(exact), tail)] / n for tail in (0.025, 0.975)]
    assert (interval.low, interval.high) == pytest.approx(ends, abs=1.5 / n)


def test_copies_are_drawn_together_as_a_slow_loop_does() -> None:
    rng = RNG(4)
    copies = np.where(rng.random(200) < 0.7, rng.integers(0, 25, 200), -1)
    delta = rng.integers(-1, 2, 200)
    fast = bootstrap(units(delta, copies), RNG(5), 20_000)
    groups = [np.flatnonzero(copies == one) for one in range(25)] + [
        np.array([at]) for at in np.flatnonzero(copies < 0)
    ]
    groups = [one for one in groups if len(one)]
    slow = []
    for _ in range(2_000):
        rows = np.concatenate([groups[at] for at in rng.integers(0, len(groups), len(groups))])
        slow.append(delta[rows].mean())
    assert fast.mean() == pytest.approx(np.mean(slow), abs=0.003)
    assert fast.std() == pytest.approx(np.std(slow), rel=0.06)
    assert np.quantile(fast, [0.025, 0.975]) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.012)


def test_ten_groups_of_ten_copies_are_ten_decisions() -> None:
    before, after = judged(300, 0, 100, 0)
    copies = np.concatenate([np.full(300, -1), np.repeat(np.arange(10), 10)])
    alone, tied = compare(before, after, RNG(1)), compare(before, after, RNG(1), copies=copies)
    assert tied.difference == alone.difference == 0.25
    assert tied.p == pytest.approx(2 * 0.5**10)
    assert alone.p < 1e-20
    assert tied.interval.high - tied.interval.low > 2.5 * (alone.interval.high - alone.interval.low)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 9))
def test_the_order_of_models_is_all_that_the_sign_says(outcomes: list[int], seed: int) -> None:
    before, after = np.isin(outcomes, [1, 3]), np.isin(outcomes, [2, 3])
    one, other = compare(before, after, RNG(seed)), compare(after, before, RNG(seed))
    assert one.difference == -other.difference
    assert one.p == other.p
    assert (one.gained, one.lost) == (other.lost, other.gained)
    assert one.interval.low <= one.difference <= one.interval.high
    wrong = {True: False, False: True, None: None}
    assert one.helped() in (wrong[other.helped()], None)


def test_the_same_seed_is_the_same_interval() -> None:
    before, after = judged(300, 40, 60, 100)
    assert compare(before, after, RNG(1)) == compare(before, after, RNG(1))


def test_few_differences_are_no_certainty() -> None:
    nothing = compare(*judged(500, 0, 0, 500), RNG(1))
    assert nothing.interval.low < 0 < nothing.interval.high, "a bootstrap of it would say 0 to 0"
    few = compare(*judged(500, 0, 5, 500), RNG(1))
    assert few.p == pytest.approx(2 * 0.5**5)
    assert few.helped() is None
    empty = compare([], [], RNG(1))
    assert (empty.n, empty.p, empty.helped()) == (0, 1.0, None)


def test_many_comparisons_are_corrected() -> None:
    parts = [compare(*judged(500, 10, gained, 100), RNG(1)) for gained in (10, 25, 28, 60)]
    found = corrected(parts)
    assert [one.adjusted for one in found] == pytest.approx(multipletests([one.p for one in parts], method="holm")[1])
    assert [one.helped() for one in parts] == [None, True, True, True]
    assert [one.helped(0.02) for one in found] == [None, None, True, True]


def test_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"both models judge the same pictures; got \(2,\) and \(3,\)"):
        compare([True, False], [True, False, True], RNG(1))


def test_copies_that_agree_count_as_one_and_strangers_as_each() -> None:
    delta = np.repeat([1, 0, 0, -1, 0], 4)
    assert design_effect(units(delta, np.repeat(np.arange(5), 4)), 0.4) == pytest.approx(4.0)
    assert design_effect(units(delta), 0.4) == pytest.approx(1.0)


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_the_swap_test_counts_all_ways_to_swap(deltas: list[int]) -> None:
    sums = [
        abs(sum(sign * d for sign, d in zip(signs, deltas, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(deltas))
    ]
    assert swap_test(deltas) == pytest.approx(np.mean([one >= abs(sum(deltas)) for one in sums]))


def tables(n: int) -> npt.NDArray[np.int64]:
    """(T, 3): gained, lost, neither of n pictures: all that there can be."""
    return np.array([(b, c, n - b - c) for b in range(n + 1) for c in range(n + 1 - b)])


@pytest.mark.parametrize(("n", "least"), [(5, 0.95), (10, 0.95), (25, 0.95), (39, 0.95), (40, 0.95), (60, 0.95)])
def test_the_interval_of_a_change_covers(n: int, least: float) -> None:
    """The exact chance, over all tables, that the interval has the true change in it, for many true changes."""
    counted = tables(n)
    limits = np.array([(i.low, i.high) for i in (paired_interval(int(b), int(c), n) for b, c, _ in counted)])
    ways = gammaln(n + 1) - gammaln(counted + 1).sum(axis=1)
    rng = np.random.default_rng(3)
    chances = []
    for p, q in [*rng.dirichlet(np.ones(3), 150)[:, :2], *rng.uniform(0, 0.2, (150, 2)), (0.0, 0.0), (0.0, 0.1)]:
        chance = np.exp(ways + xlogy(counted, [p, q, 1 - p - q]).sum(axis=1))
        inside = (limits[:, 0] <= p - q + 1e-12) & (p - q <= limits[:, 1] + 1e-12)
        chances.append(chance[inside].sum())
    assert min(chances) >= least
    assert np.mean(chances) >= 0.96


def test_the_interval_of_a_comparison_covers() -> None:
    """The exact chance, over the tables of 100 pictures, that the true difference lies in it: a bootstrap where enough differs."""
    n = 100
    counted = np.array([table for table in tables(n) if table[:2].max() <= 40])
    ways = gammaln(n + 1) - gammaln(counted + 1).sum(axis=1)
    found = [compare(*judged(rest, c, b, 0), RNG(1), draws=2_000).interval for b, c, rest in counted.tolist()]
    limits = np.array([(one.low, one.high) for one in found])
    chances = []
    for p, q in [*RNG(3).uniform(0, 0.2, (200, 2)), (0.0, 0.0), (0.0, 0.1)]:
        chance = np.exp(ways + xlogy(counted, [p, q, 1 - p - q]).sum(axis=1))
        inside = (limits[:, 0] <= p - q + 1e-12) & (p - q <= limits[:, 1] + 1e-12)
        chances.append(chance[inside].sum())
    assert min(chances) >= 0.92
    assert np.mean(chances) >= 0.94
