"""Shares against a reference, by hand, beside scipy's test, and as properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from secondlook.pipeline.bias.counts import Copies, Counts
from secondlook.pipeline.bias.family import adjusted
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.representation import lacking, represent
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.groups import NOT_SAID

SETTINGS = BiasSettings()


def made(counts: dict[str, int], copies: Copies | None = None) -> Counts:
    names = tuple(counts)
    n = np.array(list(counts.values()), np.int64)[:, None]
    return Counts(Grouping(("race",), (names,), {}), np.arange(len(names))[:, None], ("there",), n, copies)


def test_shares_are_of_those_who_say_and_bounds_of_all() -> None:
    found = represent(
        made({"A": 60, "B": 20, "C": 0, NOT_SAID: 20}),
        {"race": {"A": 0.5, "B": 0.4, "C": 0.1}},
        SETTINGS,
        np.random.default_rng(0),
    )
    one = {each.group.values[0][1]: each for each in found.groups}
    assert list(one) == ["A", "B", "C"]  # nobody being there is what a reference is for; not saying is no group of it
    assert (one["B"].n, one["B"].k, one["B"].raw.value) == (80, 20, 0.25)
    assert one["B"].p == pytest.approx(binomtest(20, 80, 0.4).pvalue)
    assert one["B"].effect.value == pytest.approx(-0.15)
    assert one["B"].missing == 20  # (20 + 20) / (80 + 20) is 0.4
    assert one["B"].bounds is not None
    assert (one["B"].bounds.low, one["B"].bounds.high) == (0.2, 0.4)  # none, or all, of the silent ones are B
    assert (one["C"].k, one["C"].missing) == (0, 9)
    assert found.worst == one["C"].group  # that surely lacks most: B lacks 4.4 points at least, C 5.4


def test_of_two_values_there_is_one_test() -> None:
    found = represent(made({"f": 30, "m": 70}), {"race": {"f": 0.5, "m": 0.5}}, SETTINGS, np.random.default_rng(0))
    assert found.count == 1
    ((f, m),) = adjusted([found], SETTINGS)
    assert f.adjusted == m.adjusted == pytest.approx(f.p)
    assert (f.missing, m.missing) == (40, -40)


def test_copies_count_once() -> None:
    """Ninety copies of one picture of A make no surplus of A that strangers would not have made."""
    copies = Copies(np.zeros(90, np.int64), np.zeros(90, np.int64), np.zeros(90, np.int64))
    reference = {"race": {"A": 0.5, "B": 0.5}}
    plain = represent(made({"A": 100, "B": 5}), reference, SETTINGS, np.random.default_rng(0)).groups[0]
    told = represent(made({"A": 100, "B": 5}, copies), reference, SETTINGS, np.random.default_rng(0)).groups[0]
    assert plain.p < 1e-10
    assert told.p == pytest.approx(binomtest(11, 16, 0.5).pvalue)  # 0.21: 11 of A and 5 of B
    assert told.raw.value == plain.raw.value
    assert told.raw.interval.high - told.raw.interval.low > 2.5 * (plain.raw.interval.high - plain.raw.interval.low)


@pytest.mark.parametrize(("n", "target", "alpha"), [(300, 0.3, 0.01), (80, 0.1, 0.05), (2000, 0.5, 0.001)])
def test_the_smallest_gap_is_found_as_often_as_the_power_says(n: int, target: float, alpha: float) -> None:
    reference = {"race": {"A": target, "B": 1 - target}}
    found = represent(
        made({"A": round(n * target), "B": n - round(n * target)}), reference, SETTINGS, np.random.default_rng(0)
    )
    assert found.gaps is not None
    gap = found.gaps(alpha)[0]
    draws = np.random.default_rng(1).binomial(n, target - gap, 3000)
    chance = {
        k: binomtest(k, n, target).pvalue <= alpha and target - k / n >= SETTINGS.least_gap
        for k in np.unique(draws).tolist()
    }
    assert np.mean([chance[k] for k in draws.tolist()]) == pytest.approx(SETTINGS.power, abs=0.03)


def test_few_pictures_find_nothing_and_attributes_without_reference_are_no_part() -> None:
    found = represent(made({"A": 3, "B": 2}), {"race": {"A": 0.5, "B": 0.5}}, SETTINGS, np.random.default_rng(0))
    assert (found.groups, found.untested, found.worst) == ((), 2, None)
    assert represent(made({"A": 30, "B": 20}), {}, SETTINGS, np.random.default_rng(0)).groups == ()


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.001, 0.999))
def test_what_is_missing_is_enough_and_no_more_than_needed(k: int, others: int, share: float) -> None:
    n = k + others
    x = lacking(k, n, share)
    if x > 0:
        assert (k + x) / (n + x) >= share - 1e-6
        assert (k + x - 1) / max(n + x - 1, 1) < share
    elif n + x > 0:
        assert (k + x) / (n + x) <= share + 1e-6


def test_a_share_of_all_is_not_reached_by_adding() -> None:
    assert lacking(5, 10, 1.0) == math.inf
    assert lacking(10, 10, 1.0) == 0
