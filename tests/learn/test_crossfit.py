"""Folds that keep copies together, and which labels a refit trusts."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.pipeline.learn.crossfit import assign_folds, components, majority, trusted, without_crowds


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_groups_stay_together_and_every_picture_has_one_fold(data: st.DataObject) -> None:
    n = data.draw(st.integers(5, 80))
    labels = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    groups = np.array(data.draw(st.lists(st.integers(-5, 40), min_size=n, max_size=n)))
    folds = assign_folds(labels, groups, 4, rng(1))
    assert set(folds.tolist()) <= {0, 1, 2, 3}
    for group in np.unique(groups):
        assert len(set(folds[groups == group].tolist())) == 1


def test_each_class_is_spread_evenly_and_so_are_the_folds() -> None:
    labels = np.repeat([0, 1, 2, 3, 4], [101, 52, 7, 3, 34])
    folds = assign_folds(labels, np.arange(len(labels)), 5, rng())
    for label in range(5):
        counts = np.bincount(folds[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    sizes = np.bincount(folds, minlength=5)
    assert sizes.max() - sizes.min() <= 1


def test_classes_stay_even_around_groups_of_copies() -> None:
    labels = np.repeat([0, 1], [100, 100])
    groups = np.arange(200)
    groups[:9] = 1000
    groups[100:104] = 1001
    folds = assign_folds(labels, groups, 4, rng())
    for label in (0, 1):
        assert np.bincount(folds[labels == label], minlength=4).tolist() == [25, 25, 25, 25]


def test_the_same_seed_gives_the_same_folds_and_another_one_others() -> None:
    labels, groups = np.arange(300) % 7, np.arange(300) // 2
    assert (assign_folds(labels, groups, 5, rng(3)) == assign_folds(labels, groups, 5, rng(3))).all()
    assert (assign_folds(labels, groups, 5, rng(3)) != assign_folds(labels, groups, 5, rng(4))).any()


def test_a_hash_that_much_of_the_data_shares_ties_nothing() -> None:
    groups = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    finer = np.array([5, 5, 6, 7, 8, 9, 9, 9])
    tied = without_crowds(groups, 3, finer=finer)
    together = tied[:, None] == tied
    expected = np.eye(8, dtype=bool)
    expected[0, 1] = expected[1, 0] = expected[5, 6] = expected[6, 5] = True
    assert (together == expected).all()


def test_links_make_groups() -> None:
    group = components(6, np.array([0, 1, 4]), np.array([1, 2, 5]))
    assert group[0] == group[1] == group[2] != group[3]
    assert group[4] == group[5]


def slow_majority(owner: npt.NDArray[Any], labels: npt.NDArray[Any], n: int) -> list[int]:
    result = []
    for content in range(n):
        votes = [int(x) for x in labels[owner == content] if x >= 0]
        counts = sorted(((votes.count(x), x) for x in set(votes)), reverse=True)
        level = len(counts) > 1 and counts[0][0] == counts[1][0]
        result.append(-1 if not counts or level else counts[0][1])
    return result


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 3)), max_size=40))
def test_the_label_of_a_content_is_that_of_most_of_its_samples(rows: list[tuple[int, int]]) -> None:
    owner = np.array([row[0] for row in rows], np.int64)
    labels = np.array([row[1] for row in rows], np.int64)
    assert majority(owner, labels, 6).tolist() == slow_majority(owner, labels, 6)


def test_labels_that_another_class_beats_clearly_are_not_trusted() -> None:
    probs = np.array([[0.9, 0.1], [0.45, 0.55], [0.2, 0.8], [0.8, 0.2], [0.9, 0.1], [0.1, 0.9]])
    labels = np.array([0, 0, 0, -1, 1, 1])
    assert trusted(labels, probs).tolist() == [True, True, False, False, False, True]


def test_a_class_that_is_never_predicted_keeps_half_of_its_labels() -> None:
    probs = np.column_stack([np.full(10, 0.9), np.linspace(0.0, 0.1, 10)])
    kept = trusted(np.ones(10, np.int64), probs)
    assert kept.tolist() == [False] * 5 + [True] * 5


@pytest.mark.parametrize("n_folds", [2, 5])
def test_fewer_pictures_of_a_class_than_folds_is_no_trouble(n_folds: int) -> None:
    labels = np.array([0] * 20 + [1])
    folds = assign_folds(labels, np.arange(21), n_folds, rng())
    assert sorted(set(folds.tolist())) == list(range(n_folds))
