"""Means by groups under permutation: held against permuting pictures one by one, and by how often chance alone is found."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp

from secondlook.pipeline.bias import scores
from secondlook.pipeline.bias.scores import Dealt, deal

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def counted(cell: Ints, score: Floats, values: Floats) -> Ints:
    n = np.zeros((int(cell.max()) + 1, len(values)), np.int64)
    np.add.at(n, (cell, np.searchsorted(values, score)), 1)
    return n


def dealt(cell: Ints, score: Floats, groups: Flags, seed: int, draws: int = 2000) -> Dealt:
    values = np.unique(score)
    n = counted(cell, score, values)
    inside = sp.csr_array(groups.astype(np.int64))
    return deal(n, values, inside, np.random.default_rng(seed), draws)


def skewed(rng: np.random.Generator, n: int) -> Floats:
    """Mostly a little too humble, now and then wrong although sure."""
    return np.where(rng.random(n) < 0.02, 0.9, -np.round(rng.random(n) * 0.2, 2))


def test_p_is_that_of_permuting_pictures_one_by_one() -> None:
    rng = np.random.default_rng(3)
    cell, score = rng.integers(0, 4, 60), skewed(rng, 60)
    score[cell == 1] += 0.1
    groups = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]], bool)
    found = dealt(cell, score, groups, 0, draws=10_000)
    inside = groups[:, cell]

    def far(its: Floats) -> Floats:
        sides = [[its[one] for one in (row, ~row)] for row in inside]
        return np.array(
            [
                abs(one.mean() - other.mean())
                / sum((((side - side.mean()) ** 2).sum() + its.var()) / len(side) ** 2 for side in (one, other)) ** 0.5
                for one, other in sides
            ]
        )

    drawn = np.array([far(rng.permutation(score)) for _ in range(4_000)])
    own = far(score)
    assert found.p == pytest.approx((drawn >= own - 1e-9).mean(axis=0), abs=0.025)
    worst = int(np.argmax(own))
    assert found.adjusted[worst] == pytest.approx((drawn.max(axis=1) >= own[worst] - 1e-9).mean(), abs=0.025)
    assert (found.adjusted >= found.p - 1e-12).all()


@pytest.mark.parametrize("rows", [60_000, 0])
def test_chance_alone_is_found_no_more_often_than_stated(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of few pictures with skewed scores, and where they are dealt as if they never ran out."""
    monkeypatch.setattr(scores, "ROWS", rows)
    groups = np.eye(12, dtype=bool)
    hits, runs = 0, 300
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        found = dealt(rng.integers(0, 12, 300), skewed(rng, 300), groups, seed, draws=200)
        hits += bool(found.adjusted.min() <= 0.1)
    assert hits <= 43  # 0.1 of 300 and 2.5 deviations


def test_a_group_that_is_too_sure_is_found() -> None:
    rng = np.random.default_rng(1)
    cell, score = np.repeat(np.arange(6), 100), skewed(rng, 600)
    score[cell == 4] = np.where(rng.random(100) < 0.2, 0.9, -0.1)
    found = dealt(cell, score, np.eye(6, dtype=bool), 0)
    assert np.argmin(found.p) == 4
    assert found.p[4] == pytest.approx(1 / 2001)
    assert found.adjusted[4] < 0.01
    assert found.level(0.05) < 0.02
    assert found.level(0.0001) == pytest.approx(0.0001 / 6)


def test_a_group_whose_scores_vary_more_is_not_found_for_that() -> None:
    """Permuting alone would: the deviation of all is not that of a group."""
    cell, hits = np.repeat([0, 1], [60, 540]), 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        score = np.round(np.where(cell == 0, rng.choice([-0.5, 0.5], 600), rng.choice([-0.1, 0.1], 600)), 2)
        hits += bool(dealt(cell, score, np.eye(2, dtype=bool), seed, draws=200).adjusted.min() <= 0.1)
    assert hits <= 50


def test_large_groups_are_as_the_normal_distribution_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    cell, score = np.repeat(np.arange(3), [3000, 2000, 40]), skewed(rng, 5040)
    score[cell == 1] += 0.012
    groups = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], bool)
    exact = dealt(cell, score, groups, 0, draws=4000)
    monkeypatch.setattr(scores, "ROWS", 100)
    assert dealt(cell, score, groups, 0, draws=4000).p == pytest.approx(exact.p, abs=0.03)


def test_where_all_scores_are_the_same_nothing_is_found() -> None:
    found = dealt(np.repeat([0, 1], 20), np.full(40, 0.25), np.eye(2, dtype=bool), 0, draws=200)
    assert found.p.tolist() == [1.0, 1.0]
    assert found.adjusted.tolist() == [1.0, 1.0]
