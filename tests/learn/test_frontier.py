"""Who beats whom: by hand, against the slow definition, and as properties of the order."""

from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest

from secondlook.pipeline.core.frontier import line
from secondlook.pipeline.learn.students.frontier import (
    dominates,
    sure,
    sure_of_answers,
    sure_of_draws,
    sure_of_times,
)


def slow(values: npt.NDArray[Any], surely: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Word by word: at least as good on every axis that anybody was measured on, and surely better on one."""
    m, axes = values.shape
    measured = [a for a in range(axes) if any(values[i, a] == values[i, a] for i in range(m))]
    found = np.zeros((m, m), bool)
    for i in range(m):
        for j in range(m):
            found[i, j] = all(values[i, a] >= values[j, a] for a in measured) and any(surely[a, i, j] for a in measured)
    return found


figures = arrays(
    np.float64, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.sampled_from([0.0, 1.0, 2.0, np.nan])
)


@given(figures, st.randoms())
def test_as_the_slow_definition_says(values: npt.NDArray[Any], random: object) -> None:
    certain = sure(values) & (
        np.random.default_rng(len(values)).random((values.shape[1], len(values), len(values))) < 0.7
    )
    assert np.array_equal(dominates(values, certain), slow(values, certain))


@given(figures)
def test_there_is_always_somebody_on_the_frontier_and_nobody_beats_whoever_beats_them(values: npt.NDArray[Any]) -> None:
    beats = dominates(values, sure(values))
    assert not beats.any(axis=0).all()
    assert not (beats & beats.T).any()


@given(figures, st.permutations(range(6)))
def test_the_order_in_which_they_come_does_not_matter(values: npt.NDArray[Any], order: list[int]) -> None:
    some = [place for place in order if place < len(values)]
    assert np.array_equal(
        dominates(values, sure(values))[np.ix_(some, some)], dominates(values[some], sure(values[some]))
    )


def test_noise_throws_nobody_off() -> None:
    """Equal cost, and one picture of a hundred apart: both stay. The dearer one of them goes."""
    right = np.ones((3, 100), bool)
    right[1, 0] = False
    right[2, 0] = False
    values = np.stack([right.mean(axis=1), [-1.0, -1.0, -2.0]], axis=1)
    certain = np.stack([sure_of_answers(right), sure(values[:, 1:])[0]])
    assert dominates(values, certain).any(axis=0).tolist() == [False, False, True]


def test_a_sure_difference_of_answers_does() -> None:
    right = np.ones((2, 100), bool)
    right[1, :6] = False
    values = np.stack([right.mean(axis=1), [-1.0, -1.0]], axis=1)
    assert dominates(values, np.stack([sure_of_answers(right), sure(values[:, 1:])[0]])).tolist() == [
        [False, True],
        [False, False],
    ]


def test_answers_are_compared_by_the_exact_test() -> None:
    rng = np.random.default_rng(5)
    right = rng.random((6, 60)) < np.linspace(0.5, 0.95, 6)[:, None]
    found = sure_of_answers(right)
    for i, j in permutations(range(6), 2):
        won, lost = int((right[i] & ~right[j]).sum()), int((right[j] & ~right[i]).sum())
        p = binomtest(won, won + lost).pvalue if won + lost else 1.0
        assert found[i, j] == (won > lost and p < 0.05)
    assert found.any()


def test_times_are_compared_round_by_round() -> None:
    """A machine that slows down for all alike does not hide who is faster."""
    slowing = np.linspace(1, 3, 10)
    seconds = np.stack([slowing, slowing * 1.01, slowing * np.where(np.arange(10) % 2, 1.1, 0.9)], axis=1)
    assert sure_of_times(seconds).tolist() == [[False, True, False], [False, False, False], [False, False, False]]


def test_draws_are_compared_draw_by_draw() -> None:
    common = np.random.default_rng(0).normal(0, 1, 500)
    assert sure_of_draws([common, common + 0.1]).tolist() == [[False, True], [False, False]]
    assert not sure_of_draws(np.random.default_rng(1).normal(0, 1, (2, 500))).any()
    assert sure_of_draws(np.zeros((2, 0))).shape == (2, 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_line_is_the_points_that_none_is_cheaper_and_better_than(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost, gain = rng.integers(0, 8, 20), rng.integers(0, 8, 20)
    found = line(cost.tolist(), gain.tolist())
    beaten = [
        any(
            (cost[j] <= cost[i]) & (gain[j] >= gain[i]) & ((cost[j] < cost[i]) | (gain[j] > gain[i])) for j in range(20)
        )
        for i in range(20)
    ]
    assert {(cost[i], gain[i]) for i in found} == {(cost[i], gain[i]) for i in range(20) if not beaten[i]}
    assert sorted(cost[found]) == list(cost[found])
