"""What to collect: held against a linear program over all crossings, against counting up, and against the power itself."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from secondlook.pipeline.bias.power import power
from secondlook.pipeline.bias.targets import Shares, least, needed, together

SIZES = st.lists(st.integers(0, 60), min_size=2, max_size=4).filter(sum)


def program(cells: npt.NDArray[np.int64], shares: list[npt.NDArray[np.float64]], slack: float) -> float:
    """The fewest pictures over all cells of crossed attributes, (V1, V2, …), by HiGHS; the slow definition."""
    total, n = int(cells.sum()), cells.size
    rows, bounds = [], []
    for axis, share in enumerate(shares):
        for value, wanted in enumerate(share):
            inside = np.zeros(cells.shape)
            np.moveaxis(inside, axis, 0)[value] = 1
            floor = max(wanted - slack, 0.0)
            rows.append(floor - inside.reshape(-1))
            bounds.append(np.moveaxis(cells, axis, 0)[value].sum() - floor * total)
    found = linprog(np.ones(n), A_ub=np.array(rows), b_ub=np.array(bounds))
    return float(found.fun) if found.status == 0 else math.inf


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.02, 0.1]), st.integers(2, 4), st.integers(2, 3))
def test_no_fewer_pictures_would_do(seed: int, slack: float, races: int, ages: int) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 40, (races, ages)) + np.eye(races, ages, dtype=int)
    shares = [rng.dirichlet(np.full(races, 3.0)), rng.dirichlet(np.full(ages, 3.0))]
    attributes = {"race": Shares(cells.sum(axis=1), shares[0]), "age": Shares(cells.sum(axis=0), shares[1])}
    fewest = max(least(one, slack) for one in attributes.values())
    assert fewest == pytest.approx(program(cells, shares, slack), abs=1e-4, rel=1e-6)
    found = together(attributes, slack)
    assert found is not None
    assert {int(its.sum()) for its in found.values()} == {math.ceil(fewest - 1e-9)}
    for name, its in found.items():
        after = attributes[name].have + its
        assert (its >= 0).all()
        assert (after - (attributes[name].wanted - slack) * after.sum() > -1 - 1e-6).all(), (
            "none misses it by a picture"
        )


def test_one_attribute_by_hand() -> None:
    """80 and 20 of 100, wanted half and half: 60 more of the second. A slack of ten points: 40 % of 133 is 53."""
    half = Shares(np.array([80, 20]), np.array([0.5, 0.5]))
    assert together({"race": half})["race"].tolist() == [0, 60]  # type: ignore[index]
    assert least(half, 0.1) == pytest.approx(80 / 0.6 - 100)
    assert together({"race": Shares(np.array([50, 50]), np.array([0.5, 0.5]))})["race"].tolist() == [0, 0]  # type: ignore[index]


def test_who_should_not_be_there_can_not_be_added_away() -> None:
    there = Shares(np.array([5, 95]), np.array([0.0, 1.0]))
    assert least(there) == math.inf
    assert together({"race": there}) is None
    assert least(there, 0.06) == 0
    assert together({}) == {}


@settings(max_examples=100)
@given(SIZES, st.integers(0, 999), st.sampled_from([0.0, 0.05]))
def test_shares_are_met_by_what_is_added(have: list[int], seed: int, slack: float) -> None:
    wanted = np.random.default_rng(seed).dirichlet(np.ones(len(have)) * 2)
    found = together({"a": Shares(np.array(have), wanted)}, slack)
    assert found is not None
    after = found["a"] + np.array(have)
    assert (after > (wanted - slack) * after.sum() - 1).all()


def test_pictures_until_a_gap_is_seen_are_those_that_the_power_asks_for() -> None:
    n = needed([2000, 2000], [0.1, 0.8], 0.05, 0.001, 0.8, worse="lower")
    for size, share in zip(n, (0.1, 0.8), strict=True):
        assert power(size, 2000, share, -0.05, 0.001) >= 0.8
        assert power(0.97 * size, 2000, share, -0.05, 0.001) < 0.8
    assert (needed([2000], [0.8], 0.05, 0.001, 0.8, worse="higher") < n[1]).all()
    assert needed([2000], [0.8], 0.05, 0.001, 0.8, worse="either") == n[1]


def test_a_gap_that_nothing_would_show_is_infinite() -> None:
    assert needed([100], [0.02], 0.05, 0.05, 0.8, worse="lower").tolist() == [math.inf], "there is no share below 0"
    assert needed([20], [0.5], 0.05, 0.001, 0.8).tolist() == [math.inf], "the rest is too small"
