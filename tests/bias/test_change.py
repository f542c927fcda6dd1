"""What changed for a group between two versions: pairs, shares, copies; by hand, beside statsmodels, and how often intervals cover."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import gammaln, xlogy
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from secondlook.pipeline.bias.change import PAIRS, STAYS, Twice, changes, paired_interval, swap_test
from secondlook.pipeline.bias.counts import Copies, Counts
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Changed

AGES = Grouping(("age",), (("young", "old"),), {})


def twice(young: list[int], old: list[int], outcomes: tuple[str, ...] = PAIRS, copies: Copies | None = None) -> Twice:
    counts = Counts(AGES, np.array([[0], [1]]), outcomes, np.array([young, old]), copies)
    return Twice("wrong labels", "SL402", "is wrong", "higher", counts)


def of(found: list[Changed], value: str) -> Changed:
    return next(one for one in found if one.group.values == (("age", value),))


def test_a_change_is_gained_minus_lost_over_the_same_pictures() -> None:
    found = changes([twice([60, 25, 5, 10], [80, 3, 3, 14])], BiasSettings())
    young, old = of(found, "young"), of(found, "old")
    assert (young.n, young.gained, young.lost, young.paired) == (100, 5, 25, True)
    assert (young.before.value, young.after.value) == (0.35, 0.15)
    assert young.difference.value == pytest.approx(-0.20)
    assert young.difference.interval.high < 0 < old.difference.interval.high
    assert young.helped(0.05) is True
    assert old.helped(0.05) is None


def test_p_is_that_of_mcnemars_exact_test_and_adjusted_by_holm() -> None:
    found = changes([twice([60, 25, 5, 10], [80, 3, 4, 13])], BiasSettings())
    for one in found:
        theirs = mcnemar([[0, one.lost], [one.gained, 0]], exact=True)
        assert one.p == pytest.approx(theirs.pvalue)
    assert [one.adjusted for one in found] == pytest.approx(multipletests([one.p for one in found], method="holm")[1])


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


def test_copies_are_no_independent_pictures() -> None:
    """Ten clusters of ten copies that were all put right are ten decisions, not a hundred."""
    lost = np.full(100, 1)
    copies = Copies(np.repeat(np.arange(10), 10), np.zeros(100, np.int64), lost)
    alone = of(changes([twice([300, 100, 0, 0], [100, 0, 0, 0])], BiasSettings()), "young")
    tied = of(changes([twice([300, 100, 0, 0], [100, 0, 0, 0], copies=copies)], BiasSettings()), "young")
    assert tied.difference.value == alone.difference.value == -0.25
    assert tied.p == pytest.approx(2 * 0.5**10)
    assert alone.p < 1e-20
    width = {one: it.difference.interval.high - it.difference.interval.low for one, it in (("a", alone), ("t", tied))}
    assert width["t"] > 2.5 * width["a"]


@pytest.mark.parametrize("change", [0.0, 0.1])
def test_intervals_of_copies_cover(change: float) -> None:
    """Of 300 pictures in clusters of 1 to 6, 400 times: as often as 95 % promises, within what 400 repeats can tell."""
    rng, inside, false = np.random.default_rng(11), 0, 0
    for _ in range(400):
        size = rng.integers(1, 7, 90)
        outcome = rng.choice(4, p=[0.5, 0.2, 0.2 + change, 0.1 - change], size=len(size))
        each = np.repeat(outcome, size)
        n = np.bincount(each, minlength=4).tolist()
        copies = Copies(np.repeat(np.arange(90), size), np.zeros(len(each), np.int64), each)
        found = of(changes([twice(n, [20, 0, 0, 0], copies=copies)], BiasSettings()), "young")
        inside += found.difference.interval.low <= change <= found.difference.interval.high
        false += found.p <= 0.05
    assert inside / 400 >= 0.93
    if not change:
        assert false / 400 <= 0.07


def test_a_share_moves_by_what_was_added_and_removed() -> None:
    """100 of 1,000 were young; 200 young ones were added and nothing removed: Fisher's test of the added beside those before."""
    found = of(changes([twice([0, 100, 200], [0, 900, 0], STAYS)], BiasSettings()), "young")
    assert (found.before.value, found.after.value, found.paired) == (0.1, 0.25, False)
    assert found.difference.value == pytest.approx(0.15)
    assert found.p == pytest.approx(stats.fisher_exact([[100, 900], [200, 0]]).pvalue)
    assert 0.1 < found.difference.interval.low < 0.15 < found.difference.interval.high < 0.2
    nothing = of(changes([twice([0, 100, 0], [0, 900, 0], STAYS)], BiasSettings()), "young")
    assert (nothing.difference.value, nothing.p) == (0.0, 1.0)
    both = of(changes([twice([60, 40, 0], [0, 860, 40], STAYS)], BiasSettings()), "young")
    assert both.p < 1e-6
    assert both.difference.interval.high < 0


def test_shares_that_only_chance_moves_are_seldom_said_to_have_moved() -> None:
    rng, said, inside = np.random.default_rng(5), 0, 0
    for _ in range(500):
        young = [int(rng.binomial(n, 0.3)) for n in (150, 600, 250)]
        found = of(
            changes([twice(young, [150 - young[0], 600 - young[1], 250 - young[2]], STAYS)], BiasSettings()), "young"
        )
        said += found.p <= 0.05
        inside += found.difference.interval.low <= 0 <= found.difference.interval.high
    assert said / 500 <= 0.07
    assert inside / 500 >= 0.93


def test_groups_below_the_least_size_are_not_named() -> None:
    assert [one.group.name for one in changes([twice([60, 5, 5, 10], [9, 0, 0, 0])], BiasSettings())] == ["age young"]
    assert changes([twice([1, 0, 0, 0], [1, 0, 0, 0])], BiasSettings()) == []
