"""npmi and lift by hand, beside statsmodels' score interval, and as properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from secondlook.pipeline.bias.association import PERMUTED, Pairs, associate, lift, npmi
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.shares import compare
from secondlook.pipeline.core.bias_config import BiasSettings

SETTINGS = BiasSettings(permutations=200)


def made(n: list[list[int]]) -> Counts:
    """Groups by classes."""
    table = np.array(n, np.int64)
    names = tuple(f"g{at}" for at in range(len(table)))
    return Counts(
        Grouping(("g",), (names,), {}),
        np.arange(len(table))[:, None],
        tuple(f"c{at}" for at in range(table.shape[1])),
        table,
    )


def pairs(*counts: float) -> Pairs:
    return Pairs(*(np.array([one], np.float64) for one in counts))


def test_by_hand() -> None:
    one = pairs(30, 100, 60, 1000)  # expected 6
    assert lift(one)[0] == pytest.approx(5.0)
    assert npmi(one)[0] == pytest.approx(np.log(5) / -np.log(0.03))
    assert npmi(pairs(0, 100, 60, 1000))[0] == -1
    assert npmi(pairs(60, 60, 60, 1000))[0] == pytest.approx(1)
    assert npmi(pairs(6, 100, 60, 1000))[0] == pytest.approx(0)


@pytest.mark.parametrize(
    "table", [[[30, 70], [20, 380]], [[3, 17], [5, 195]], [[0, 40], [9, 150]], [[300, 700], [2000, 8000]]]
)
def test_the_interval_of_the_lift_is_that_of_the_ratio_of_shares(table: list[list[int]]) -> None:
    (k, miss), (others, rest) = table
    n, m = k + miss, others + rest
    low, high = confint_proportions_2indep(k, n, others, m, compare="ratio", method="score", correction=True)
    weight = n / (n + m)
    expected = [ratio / (weight * ratio + 1 - weight) for ratio in (low, high)]
    found = associate(made(table), SETTINGS, np.random.default_rng(0))["c0"].groups[0].lift
    assert found is not None
    assert [found.interval.low, found.interval.high] == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_p_is_that_of_the_shares_and_lift_and_npmi_agree_on_the_sign() -> None:
    counts = made([[40, 60, 20], [10, 70, 30], [30, 50, 40]])
    for at in range(3):
        shares = compare(counts, np.arange(3) == at, settings=SETTINGS, rng=np.random.default_rng(0))
        told = associate(counts, SETTINGS, np.random.default_rng(0))[f"c{at}"]
        assert [one.p for one in told.groups] == [one.p for one in shares.groups]
        for one, share in zip(told.groups, shares.groups, strict=True):
            assert np.sign(one.effect.value) == np.sign(share.effect.value)
            assert one.effect.interval.low <= one.effect.value <= one.effect.interval.high
            assert one.lift is not None
            assert (one.lift.value > 1) == (one.effect.value > 0)


def test_classes_of_nobody_and_of_everybody_are_left_out() -> None:
    assert associate(made([[40, 0], [10, 0]]), SETTINGS, np.random.default_rng(0)) == {}


def test_among_thousands_of_classes_a_planted_pair_is_found_and_rare_ones_are_counted() -> None:
    rng = np.random.default_rng(3)
    table = rng.multinomial(60_000, np.outer([0.5, 0.3, 0.2], rng.dirichlet(np.ones(600))).ravel()).reshape(3, 600)
    at = int(np.argsort(table.sum(axis=0))[400])
    table[1, at] += table[:, at].sum()
    table[:, 0] = [1, 1, 0]
    found = associate(made(table.tolist()), SETTINGS, rng)
    assert len(found) > PERMUTED
    assert found["c0"].groups == ()
    assert found["c0"].untested == 3
    least = {name: min((one.p for one in its.groups), default=1.0) for name, its in found.items()}
    assert min(least, key=lambda name: least[name]) == f"c{at}"
    plain = compare(made(table.tolist()), np.arange(600) == at, settings=SETTINGS, rng=rng)
    assert [one.p for one in found[f"c{at}"].groups] == pytest.approx([one.p for one in plain.groups])


def test_the_smallest_gap_is_an_npmi() -> None:
    counts = made([[100, 900], [400, 3600]])
    found = associate(counts, SETTINGS, np.random.default_rng(0))["c0"]
    assert found.gaps is not None
    gap = found.gaps(0.01)
    shares = compare(counts, [True, False], settings=SETTINGS, rng=np.random.default_rng(0))
    assert shares.gaps is not None
    wide = float(np.asarray(shares.gaps(0.01))[0])
    share = 0.1 + wide
    frequent = 0.2 * share + 0.8 * 0.1
    up = np.log(share / frequent) / -np.log(0.2 * share)
    assert gap[0] >= up - 1e-9


@given(st.lists(st.integers(0, 30), min_size=4, max_size=4))
def test_intervals_hold_their_values_whatever_the_counts(cells: list[int]) -> None:
    table = np.array(cells).reshape(2, 2)
    for its in associate(
        made(table.tolist()), BiasSettings(min_cell=1, permutations=200), np.random.default_rng(0)
    ).values():
        for one in its.groups:
            assert -1 <= one.effect.interval.low <= one.effect.value <= one.effect.interval.high <= 1
            assert 0 <= one.p <= 1
