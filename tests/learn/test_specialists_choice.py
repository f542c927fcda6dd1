"""Who is kept, and what it brings: by hand, against slow definitions, and on made answers."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from secondlook.pipeline.learn.specialists import choice


@given(rights=st.integers(0, 60), wrongs=st.integers(0, 60))
def test_sureness_is_the_part_of_a_beta_distribution_above_a_half(rights: int, wrongs: int) -> None:
    assert choice.sureness(rights, wrongs) == pytest.approx(beta.sf(0.5, rights + 1, wrongs + 1), abs=1e-12)


def made(helps: dict[int, int], n: int = 400) -> tuple[choice.Ints, choice.Together]:
    """Labels, and answers of which specialist m rights (or wrongs, where it is negative) so many of its own rows."""
    labels = np.zeros(n, np.int64)
    start = np.where(np.arange(n) < n // 2, 0, 1)  # half are right
    own = {m: (m * 20, n // 2 + m * 20) for m in helps}

    def together(kept: Sequence[int]) -> choice.Ints:
        said = start.copy()
        for m in kept:
            if helps[m] > 0:
                said[own[m][1] : own[m][1] + helps[m]] = 0
            else:
                said[own[m][0] : own[m][0] - helps[m]] = 1
        return said

    return labels, together


def test_kept_are_those_that_help_surely_and_the_best_is_tried_first() -> None:
    labels, together = made({0: 8, 1: -6, 2: 1, 3: 12})
    tried = choice.chosen(labels, together, 4, confidence=0.9)
    assert [one.specialist for one in tried] == [3, 0, 2, 1]
    assert [one.kept for one in tried] == [True, True, False, False]
    assert (tried[0].rights, tried[0].wrongs) == (12, 0)
    assert tried[2].sure == 0.75  # one picture for it and none against is no proof


def test_what_brings_nothing_beside_those_kept_is_refused_though_it_helps_alone() -> None:
    labels, together = made({0: 12})
    twice = choice.chosen(labels, lambda kept: together([0] if kept else []), 2, confidence=0.9)
    assert [(one.specialist, one.kept) for one in twice] == [(0, True), (1, False)]


def test_a_coin_is_kept_as_rarely_as_confidence_says() -> None:
    rng = np.random.default_rng(5)
    kept = 0
    for _ in range(400):
        labels, said = np.zeros(300, np.int64), (rng.random((2, 300)) < 0.3).astype(np.int64)
        kept += choice.chosen(labels, lambda kept, said=said: said[len(kept)], 1, 0.9)[0].kept  # type: ignore[misc]
    assert kept / 400 < 0.13


def test_the_interval_of_a_gain_is_that_of_drawing_pictures_again_and_again() -> None:
    rng = np.random.default_rng(1)
    before = rng.random(300) < 0.5
    after = before ^ (rng.random(300) < 0.15)
    found = choice.gain(before, after, np.random.default_rng(2))
    draws = rng.integers(0, 300, (4000, 300))
    slow = after[draws].mean(axis=1) / before[draws].mean(axis=1) - 1
    assert (found.low, found.high) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.006)
    assert found.relative == pytest.approx(after.mean() / before.mean() - 1)
    assert (found.n, found.before, found.after) == (300, before.mean(), after.mean())


def test_a_gain_over_nothing_has_no_number() -> None:
    found = choice.gain(np.zeros(5, np.bool_), np.ones(5, np.bool_), np.random.default_rng(0))
    assert np.isnan([found.relative, found.low, found.high]).all()
    assert choice.gain(np.zeros(0, np.bool_), np.zeros(0, np.bool_), np.random.default_rng(0)).n == 0


def test_conditional_accuracy_allows_only_the_clusters_classes() -> None:
    probs = np.array([[0.1, 0.2, 0.7], [0.3, 0.1, 0.6], [0.5, 0.1, 0.4], [0.4, 0.5, 0.1]])
    labels = np.array([0, 0, 2, 1])
    right, rows = choice.conditional(probs, labels, [np.array([0, 1]), np.array([1, 2])])
    assert rows.tolist() == [0, 1, 3, 2, 3]
    assert right.tolist() == [False, True, True, True, True]
    assert choice.conditional(probs, labels, [])[0].shape == (0,)


def test_the_table_by_cover_counts_specialists_of_the_true_class() -> None:
    labels = np.array([0, 0, 1, 1, 2, 3])
    before = np.array([1, 0, 1, 0, 1, 0], np.bool_)
    after = np.array([1, 1, 1, 1, 0, 0], np.bool_)
    table = choice.by_cover(labels, before, after, [np.array([0, 1]), np.array([1, 2])])
    assert [(one.specialists, one.n, one.right_before, one.right_after) for one in table] == [
        (0, 1, 0, 0),
        (1, 3, 2, 2),
        (2, 2, 1, 2),
    ]
    assert table[2].relative == 1.0
    assert np.isnan(table[0].relative)


@given(cost=st.floats(1, 1e7), n=st.integers(10, 100_000), epochs=st.integers(1, 100))
def test_a_control_spends_no_less_and_hardly_more(cost: float, n: int, epochs: int) -> None:
    nets, each = choice.control(cost, n, epochs)
    assert nets * each * n >= cost * (1 - 1e-6)
    assert nets * (each - 1) * n < cost


def test_a_teacher_that_looks_on_costs_a_third_more() -> None:
    assert choice.spent(300, taught=False) == 300
    assert choice.spent(300, taught=True) == pytest.approx(400)
