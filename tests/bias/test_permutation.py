"""False alarms within a measure: against permuting pictures one by one, by level under no effect, and by properties."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from secondlook.pipeline.bias import permutation, permuted
from secondlook.pipeline.bias.members import members
from secondlook.pipeline.bias.permutation import Floats, Within, within
from secondlook.pipeline.bias.permuted import Permuted
from secondlook.pipeline.bias.tails import Tails
from tests.bias.made import Ints, Pictures, pictures


def run(made: Pictures, seed: int = 3, draws: int = 4000) -> tuple[Within, Floats, Ints]:
    """What `within` says of all groups of at most two attributes; p as found; hits."""
    counts = made.counts
    groups = members(counts.grouping, counts.cells, 2).matrix
    n, k = counts.n.sum(axis=1), counts.n[:, 1]
    hits = groups @ k
    p = Tails(int(n.sum()), int(k.sum())).p(hits, groups @ n)
    return within(n, int(k.sum()), groups, p, np.random.default_rng(seed), draws), p, hits


def slow(made: Pictures, draws: int, p: Floats) -> Floats:
    """Step-down smallest p, by permuting the outcomes of the pictures themselves."""
    counts = made.counts
    groups = members(counts.grouping, counts.cells, 2).groups()
    inside = np.array([made.of(one) for one in groups])
    rng, tails = np.random.default_rng(11), Tails(len(made.outcome), int(made.outcome.sum()))
    order = np.argsort(p, kind="stable")
    sizes = inside.sum(axis=1)[order]
    extreme = np.zeros(len(p))
    for _ in range(draws):
        mixed = tails.p(inside[order] @ rng.permutation(made.outcome), sizes)
        for rank in range(len(p)):
            extreme[rank] += mixed[rank:].min() <= p[order][rank] * (1 + 1e-9)
    out = np.empty(len(p))
    out[order] = np.maximum.accumulate((1 + extreme) / (1 + draws))
    return out


def test_it_is_the_permutation_of_pictures_one_by_one() -> None:
    rng = np.random.default_rng(1)
    made = pictures(rng, 120)
    tilted = Pictures(
        made.grouping, made.places, made.outcome | (made.places[:, 1] == 2) & (rng.random(120) < 0.4), made.cluster
    )
    found, p, _ = run(tilted)
    expected = slow(tilted, 3000, p)
    many = expected > 2 * permutation.FEW / 4000
    assert many.sum() > 5
    assert found.adjusted[many] == pytest.approx(expected[many], abs=4 * 0.5 * 3000**-0.5)


def test_draws_have_the_margins_of_their_groups() -> None:
    made = pictures(np.random.default_rng(2), 300)
    counts = made.counts
    groups = members(counts.grouping, counts.cells, 2).matrix
    n, k = counts.n.sum(axis=1), int(counts.n[:, 1].sum())
    tails = Tails(int(n.sum()), k)
    drawn = Permuted(n, k, groups, tails.variance(groups @ n), 6000)(np.random.default_rng(0), 6000)
    assert drawn.mean(axis=1) == pytest.approx(groups @ n * k / n.sum(), abs=0.2)
    assert drawn.var(axis=1) == pytest.approx(tails.variance(groups @ n), rel=0.12)


@pytest.mark.parametrize("few_groups", [0, 1500])
def test_many_cells_are_drawn_with_the_same_covariance(monkeypatch: pytest.MonkeyPatch, few_groups: int) -> None:
    """Small groups hit by hit, large ones normal, by cell or by group: means, covariances and p stay."""
    made = pictures(np.random.default_rng(4), 6000, ((0.6, 0.3, 0.1), (0.5, 0.3, 0.15, 0.04, 0.01)), 0.3)
    counts = made.counts
    groups = members(counts.grouping, counts.cells, 2).matrix
    n, k = counts.n.sum(axis=1), int(counts.n[:, 1].sum())
    variance = Tails(6000, k).variance(groups @ n)
    exact = Permuted(n, k, groups, variance, 8000)(np.random.default_rng(0), 8000)
    monkeypatch.setattr(permuted, "WORK", 0)
    monkeypatch.setattr(permuted, "FEW_GROUPS", few_groups)
    draw = Permuted(n, k, groups, variance, 8000)
    assert draw.noise is not None
    assert 0 < draw.large.sum() < len(variance)
    mixed = draw(np.random.default_rng(1), 8000)
    assert mixed.mean(axis=1) == pytest.approx(exact.mean(axis=1), abs=1.0)
    spread = np.sqrt(variance)
    unlike = (np.cov(mixed) - np.cov(exact)) / np.outer(spread, spread)
    assert np.abs(unlike).max() < 0.08
    # All values of one attribute together have all hits, in every draw, but for rounding.
    assert np.abs(mixed[:3].sum(axis=0) - k).max() <= 3


def test_no_more_false_alarms_than_promised_and_not_far_fewer() -> None:
    """300 measures without an effect: adjusted at or below 0.2 in about a fifth of them."""
    false = 0
    for seed in range(300):
        found, _, _ = run(pictures(np.random.default_rng([9, seed]), 250), seed, 400)
        false += bool((found.adjusted <= 0.2).any())
    assert 300 * 0.2 - 3.1 * 6.93 <= false <= 300 * 0.2 + 3.1 * 6.93  # three deviations of the binomial


def test_far_out_the_bound_speaks_and_stays_below_bonferroni() -> None:
    made = pictures(np.random.default_rng(5), 900)
    tilted = Pictures(made.grouping, made.places, made.outcome | (made.places[:, 1] == 1), made.cluster)
    found, p, _ = run(tilted, draws=500)
    least = int(np.argmin(p))
    assert p[least] < 1e-20
    assert found.adjusted[least] <= len(p) * p[least]
    assert found.adjusted[least] >= p[least]


@examples(max_examples=25)
@given(st.integers(0, 10_000), st.integers(20, 200), st.floats(0.0, 1.0))
def test_adjusted_is_above_p_ordered_like_it_and_repeatable(seed: int, n: int, share: float) -> None:
    made = pictures(np.random.default_rng(seed), n, share=share)
    found, p, _ = run(made, draws=200)
    assert (found.adjusted >= p).all()
    assert (found.adjusted <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(found.adjusted[order]) >= 0).all()
    assert (run(made, draws=200)[0].adjusted == found.adjusted).all()


def test_the_level_is_the_largest_p_that_is_a_finding() -> None:
    """At each level, a p just there is adjusted to at most alpha if it is the smallest, and one a bit larger is not."""
    made = pictures(np.random.default_rng(6), 400)
    counts = made.counts
    groups = members(counts.grouping, counts.cells, 2).matrix
    n, k = counts.n.sum(axis=1), int(counts.n[:, 1].sum())
    p = Tails(400, k).p(groups @ counts.n[:, 1], groups @ n)
    for alpha in (0.2, 0.05, 0.004, 0.0005):
        level = within(n, k, groups, p, np.random.default_rng(0), 2000).level(alpha)
        for factor, finding in ((1.0, True), (1.08, False)):
            pretended = np.where(np.arange(len(p)) == 0, level * factor, 1.0)
            again = within(n, k, groups, pretended, np.random.default_rng(0), 2000)
            assert (again.adjusted[0] <= alpha) == finding or (not finding and alpha > 0.004)


def test_nothing_to_test_is_no_error() -> None:
    nothing = within(
        np.array([5, 5]), 3, sp.csr_array((0, 2), dtype=np.int64), np.zeros(0), np.random.default_rng(0), 200
    )
    assert len(nothing.adjusted) == 0
