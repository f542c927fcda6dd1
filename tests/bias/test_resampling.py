"""Copies: what stands for them in tests, how many independent pictures they amount to, and the bootstrap by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.bias import resampling
from secondlook.pipeline.bias.counts import Copies, Counts
from secondlook.pipeline.bias.members import members
from tests.bias.made import HIT, Pictures, bootstrap, pictures

ALL = np.array([True, True])


def noisy(seed: int, n: int = 900) -> Pictures:
    """Copies that mostly, not always, agree in what happened to them and in what they are."""
    rng = np.random.default_rng(seed)
    made = pictures(rng, n, share=0.3, cluster=[2] * 60 + [3] * 30 + [7] * 10)
    outcome = np.where(rng.random(n) < 0.15, rng.random(n) < 0.3, made.outcome).astype(np.int64)
    places = np.where(rng.random((n, 2)) < 0.1, pictures(rng, n).places, made.places)
    return Pictures(made.grouping, places, outcome, made.cluster)


def test_one_of_each_group_of_copies_stays() -> None:
    made = noisy(0)
    whole, single = (
        resampling.table(made.counts, HIT, ALL),
        resampling.distinct(made.counts, HIT, ALL, np.random.default_rng(1)),
    )
    assert whole.n.sum() == 900
    assert single.n.sum() == len(np.unique(made.cluster))
    assert (single.n <= whole.n).all()
    assert (single.k <= np.minimum(single.n, whole.k)).all()


def test_which_of_them_is_even_chance_and_does_not_hang_on_the_order_of_rows() -> None:
    made = noisy(1)
    counts = made.counts
    rng = np.random.default_rng(2)
    drawn = [resampling.distinct(counts, HIT, ALL, rng).k.sum() for _ in range(400)]
    size = np.bincount(made.cluster)[made.cluster]
    assert np.mean(drawn) == pytest.approx((made.outcome / size).sum(), abs=4 * np.std(drawn) / 20)
    assert counts.copies is not None
    turned = np.random.default_rng(3).permutation(len(counts.copies.cluster))
    rows = Copies(*(one[turned] for one in (counts.copies.cluster, counts.copies.cell, counts.copies.outcome)))
    again = Counts(counts.grouping, counts.cells, counts.outcomes, counts.n, rows)
    one, other = (resampling.distinct(its, HIT, ALL, np.random.default_rng(5)) for its in (counts, again))
    assert (one.n == other.n).all()
    assert (one.k == other.k).all()


def test_effective_numbers_are_what_a_bootstrap_by_copies_comes_to() -> None:
    made = noisy(2)
    counts = made.counts
    groups = members(counts.grouping, counts.cells, 2).matrix
    found = resampling.effective(counts, HIT, ALL, groups)
    drawn = np.array(list(bootstrap(counts, np.random.default_rng(0), 3000)))  # (B, C, M)
    inside = np.einsum("gc,bcm->bgm", groups.toarray(), drawn)
    outside = drawn.sum(axis=1)[:, None, :] - inside
    sizes = groups @ counts.n.sum(axis=1)
    for table, ours, n in ((inside, found.n, sizes), (outside, found.rest, 900 - sizes)):
        share = table[..., 1] / table.sum(axis=2)
        theirs = share.mean(axis=0) * (1 - share.mean(axis=0)) / share.var(axis=0)
        enough = (ours >= 60) & (ours < n - 1)
        assert enough.sum() >= 3
        assert ours[enough] == pytest.approx(theirs[enough], rel=0.12)


@given(st.integers(0, 1000), st.integers(30, 300))
def test_an_effective_number_is_at_least_if_all_copies_agreed_and_at_most_all_pictures(seed: int, n: int) -> None:
    made = noisy(seed, 900)
    keep = np.random.default_rng(seed).choice(900, n, replace=False)
    some = Pictures(made.grouping, made.places[keep], made.outcome[keep], made.cluster[keep])
    counts = some.counts
    known = members(counts.grouping, counts.cells, 2)
    found = resampling.effective(counts, HIT, ALL, known.matrix)
    for row, group in enumerate(known.groups()):
        its = some.of(group)
        sizes = np.bincount(some.cluster[its])
        assert its.sum() ** 2 / (sizes**2).sum() <= found.n[row] * (1 + 1e-9)
        assert found.n[row] <= its.sum() + 1e-9


def test_without_copies_all_pictures_count() -> None:
    counts = pictures(np.random.default_rng(3), 200).counts
    groups = members(counts.grouping, counts.cells, 1).matrix
    found = resampling.effective(counts, HIT, ALL, groups)
    assert (found.n == groups @ counts.n.sum(axis=1)).all()
    assert (found.n + found.rest == 200).all()
    assert all(one.sum() == 200 for one in bootstrap(counts, np.random.default_rng(0), 20))


def test_copies_that_are_not_among_those_asked_about_do_not_count() -> None:
    """Pictures of a third outcome, copies of the others, change nothing where they are not asked about."""
    made = noisy(4)
    counts, more = made.counts, noisy(5).counts
    assert counts.copies is not None
    assert more.copies is not None
    codes = counts.grouping.join(counts.cells)
    cell = np.searchsorted(codes, counts.grouping.join(more.cells))[more.copies.cell]
    n = np.column_stack([counts.n, np.bincount(cell, minlength=len(codes))])
    rows = Copies(
        np.append(counts.copies.cluster, more.copies.cluster),
        np.append(counts.copies.cell, cell),
        np.append(counts.copies.outcome, np.full(len(cell), 2)),
    )
    mixed = Counts(counts.grouping, counts.cells, ("no", "yes", "elsewhere"), n, rows)
    groups = members(counts.grouping, counts.cells, 2).matrix
    two, three = np.array([True, True]), np.array([True, True, False])
    hit = np.array([False, True, False])
    for one, other in zip(
        resampling.effective(counts, HIT, two, groups), resampling.effective(mixed, hit, three, groups), strict=True
    ):
        assert one == pytest.approx(other)
    single = resampling.distinct(mixed, hit, three, np.random.default_rng(1))
    assert (single.n == resampling.distinct(counts, HIT, two, np.random.default_rng(1)).n).all()


def test_copies_alone_are_drawn_whole() -> None:
    """Nothing but two clusters: every draw has each a whole number of times."""
    made = pictures(np.random.default_rng(5), 12, cluster=[5, 7])
    for drawn in bootstrap(made.counts, np.random.default_rng(0), 30):
        assert drawn.sum() in {10, 12, 14}
