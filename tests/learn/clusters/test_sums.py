"""Sums over pictures, against loops that anyone can read; and the bonds that surely exceed the background."""

import numpy as np
import pytest
from scipy.stats import poisson

from secondlook.pipeline.learn.clusters.answers import Answers, mistakes
from secondlook.pipeline.learn.clusters.background import confused, surprise
from secondlook.pipeline.learn.clusters.sums import Sums, confusion, together

from .planted import listed, planted

KINDS = {"together": together, "confusion": confusion}


def slowly(kind: str, answers: Answers) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    matrix = np.zeros((answers.n_classes,) * 2)
    for probs, label, row in zip(answers.probs.tolist(), answers.labels.tolist(), range(len(answers)), strict=True):
        classes = range(answers.n_classes) if answers.classes is None else answers.classes[row].tolist()
        said = [(one, p) for one, p in zip(classes, probs, strict=True) if one >= 0]
        if kind == "confusion":
            for one, p in said if label >= 0 else []:
                matrix[label, one] += p
                matrix[one, label] += p
        else:
            for one, p in said:
                for other, q in said:
                    matrix[one, other] += p * q
    np.fill_diagonal(matrix, 0.0)
    return matrix


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["whole", "listed"])
def test_sums_are_those_of_a_loop_over_pictures(kind: str, form: str) -> None:
    answers, _ = planted((3, 2), 4, 6)
    answers.labels[::7] = -1
    if form == "listed":
        answers = listed(answers, 4)
    sums, wanted = KINDS[kind](answers), slowly(kind, answers)
    np.testing.assert_allclose(sums.links.dense(), wanted, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(sums.degrees, wanted.sum(axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_classes_the_strongest_links_of_each_are_kept(kind: str) -> None:
    """Those that exceed most what is expected of classes with such sums."""
    rng = np.random.default_rng(0)
    classes = np.argsort(rng.random((300, 1100)), axis=1)[:, :20].astype(np.int32)
    classes[:, 0] = rng.integers(3, size=300)
    answers = Answers(rng.random((300, 20)).astype(np.float32), classes[:, 0].astype(np.int64), 1100, classes)
    sums, wanted = KINDS[kind](answers), slowly(kind, answers)
    np.testing.assert_allclose(sums.degrees, wanted.sum(axis=1), rtol=1e-4)
    kept = sums.links.dense()
    assert (kept == kept.T).all()
    np.testing.assert_allclose(kept[kept > 0], wanted[kept > 0], rtol=1e-5)
    beyond = wanted - np.outer(sums.degrees, sums.degrees) / sums.degrees.sum()
    strongest = np.zeros_like(wanted, bool)
    np.put_along_axis(strongest, np.argsort(-beyond, axis=1)[:, :60], True, axis=1)
    assert (kept[strongest & (wanted > 0)] > 0).all()
    assert np.diff(sums.links.starts).max() < (wanted > 0).sum(axis=1).max() or kind == "confusion"


def test_a_grain_of_a_half_says_that_a_sum_of_three_is_as_sure_as_six() -> None:
    """Six pictures of class 0 that put a half on class 1: as sure as six of which each adds all that it can."""
    probs = np.array([[0.5, 0.5, 0.0]] * 6, np.float32)
    sums = confusion(Answers.whole(probs, np.zeros(6, np.int64)))
    assert sums.grain == pytest.approx(0.5)
    assert sums.links.dense()[0, 1] / sums.grain == pytest.approx(6)
    assert together(Answers.whole(probs, np.zeros(6, np.int64))).grain == pytest.approx(0.25)


def test_mistakes_are_counted_both_ways_and_without_labels_not_at_all() -> None:
    probs = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.7, 0.2, 0.1], [0, 0, 1], [0, 1, 0]], np.float32)
    made = mistakes(Answers.whole(probs, np.array([0, 0, 1, 2, -1])))
    assert made.dense().tolist() == [[0, 2, 0], [2, 0, 0], [0, 0, 0]]


def test_links_among_some_classes_are_those_of_the_matrix() -> None:
    links = together(planted((3, 2), 4, 6)[0]).links
    some = np.array([0, 3, 4, 8])
    np.testing.assert_array_equal(links.among(some).dense(), links.dense()[np.ix_(some, some)])


@pytest.mark.parametrize("kind", KINDS)
def test_planted_links_are_bonds_and_others_are_not(kind: str) -> None:
    answers, members = planted((5, 4, 3), 20, 60, seed=1)
    seen = confused(KINDS[kind](answers))
    bound = seen.bonds.dense() > 0
    same = np.zeros_like(bound)
    for one in members:
        same[np.ix_(one, one)] = True
    np.fill_diagonal(same, False)
    np.testing.assert_array_equal(bound, same)
    wanted = slowly(kind, answers)
    left = seen.bonds.dense() + np.where(same, np.outer(seen.usual, seen.usual), 0.0)
    np.testing.assert_allclose(left[same], wanted[same], rtol=1e-5)


def test_where_classes_have_nothing_to_do_with_one_another_nothing_is_a_bond() -> None:
    """Of 40 made models with popular and rare classes, a bond is found in about one in twenty: that is what FALSE says."""
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        popular = rng.gamma(2, 1, size=30)
        expected = np.outer(popular, popular) * 2
        counts = np.triu(rng.poisson(expected), 1).astype(np.float64)
        from secondlook.pipeline.learn.clusters.links import of_matrix

        links = of_matrix(counts + counts.T)
        found += confused(Sums(links, links.degrees(), 1.0)).bonds.total > 0
    assert found <= 5


def test_surprise_is_never_more_than_the_chance_of_so_many_allows() -> None:
    counts = np.array([1, 2, 5, 12, 40, 3], np.float64)
    expected = np.array([0.01, 0.5, 1, 10, 12, 7], np.float64)
    bound = np.exp(-surprise(counts, expected))
    assert (bound >= poisson.sf(counts - 1, expected) - 1e-12).all()
    assert surprise(counts, expected)[-1] == 0
    assert bound[0] < 0.05
