"""Weights for training: by their definition, and what they must reach whatever the data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.reweigh import reweigh, targets
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.groups import NOT_SAID

GROUPING = Grouping(("race", "age"), (("A", "B", NOT_SAID), ("young", "old")), {})
CELLS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def test_weights_are_those_of_kamiran_and_calders() -> None:
    """Their example's shape: w(g, y) = P(g) P(y) / P(g, y), counted by hand."""
    group, label = [0] * 5 + [1] * 5, [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    found = reweigh(group, label, [0.5, 0.5]).weights
    assert found[0] == pytest.approx(0.5 * 0.4 / 0.3)
    assert found[3] == pytest.approx(0.5 * 0.6 / 0.2)
    assert found[5] == pytest.approx(0.5 * 0.4 / 0.1)
    assert found[6] == pytest.approx(0.5 * 0.6 / 0.4)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=60), st.integers(0, 3))
def test_class_and_group_are_independent_and_groups_have_their_shares(rows: list[tuple[int, int]], seed: int) -> None:
    rows = [*rows, *((g, y) for g in range(4) for y in range(3))]  # every combination is there
    group, label = np.array(rows).T
    target = np.random.default_rng(seed).dirichlet(np.ones(4))
    found = reweigh(group, label, target)
    share = np.zeros((4, 3))
    np.add.at(share, (group, label), found.weights / len(rows))
    classes = np.bincount(label) / len(rows)
    assert share == pytest.approx(np.outer(target, classes))
    assert found.weights.mean() == pytest.approx(1.0)
    assert found.effective <= len(rows) + 1e-9
    assert found.capped == 0


def test_no_weight_is_above_the_most_and_the_mean_stays() -> None:
    group, label = np.repeat([0, 1], [990, 10]), np.zeros(1000, int)
    free = reweigh(group, label, [0.5, 0.5])
    assert free.largest == pytest.approx(50)
    assert free.effective == pytest.approx(1000**2 / (990 * (0.5 / 0.99) ** 2 + 10 * 50**2))
    capped = reweigh(group, label, [0.5, 0.5], most=10)
    assert capped.largest == pytest.approx(10)
    assert capped.weights.mean() == pytest.approx(1)
    assert (capped.capped, bool(capped.effective > free.effective)) == (10, True)
    twice = reweigh(np.repeat([0, 1, 2], [900, 90, 10]), np.zeros(1000, int), [0.1, 0.45, 0.45], most=4.5)
    assert twice.largest == pytest.approx(4.5)
    assert twice.weights.mean() == pytest.approx(1)
    assert set(reweigh([0, 1], [0, 0], [0.2, 0.8], most=1.0).weights) == {1.0}


def test_a_group_without_pictures_gets_no_share() -> None:
    assert reweigh([0, 0, 2], [0, 0, 0], [0.4, 0.2, 0.4]).weights.tolist() == pytest.approx([0.75, 0.75, 1.5])
    assert len(reweigh([], [], [1.0]).weights) == 0


def test_groups_count_as_they_are_all_the_same_or_by_a_reference() -> None:
    n = [40, 20, 30, 10]
    assert targets(GROUPING, CELLS, n, "independent", {}) == pytest.approx([0.4, 0.2, 0.3, 0.1])
    assert targets(GROUPING, CELLS, n, "equal", {}) == pytest.approx([0.25] * 4)
    both = targets(GROUPING, CELLS, n, "reference", {"race": {"A": 0.3, "B": 0.7}, "age": {"young": 0.5, "old": 0.5}})
    assert both[0] + both[1] == pytest.approx(0.3)
    assert both[0] + both[2] == pytest.approx(0.5)
    # Raking keeps how attributes go together: the odds ratio is that of the counts.
    assert both[0] * both[3] / (both[1] * both[2]) == pytest.approx(40 * 10 / (20 * 30))


def test_who_does_not_say_keeps_the_share_that_they_have() -> None:
    cells = np.array([[0, 0], [1, 0], [2, 0]])
    found = targets(GROUPING, cells, [60, 20, 20], "reference", {"race": {"A": 0.5, "B": 0.5}})
    assert found == pytest.approx([0.4, 0.4, 0.2])


def test_shares_that_can_not_be_reached_are_refused() -> None:
    apart = np.array([[0, 0], [1, 1]])  # all of A are young, all of B old: they can't have different shares
    with pytest.raises(UserError, match="both be reached"):
        targets(GROUPING, apart, [5, 5], "reference", {"race": {"A": 0.3, "B": 0.7}, "age": {"young": 0.5, "old": 0.5}})
