"""Pooling: by hand in its limits, against a slow integral, and better than raw where groups are small."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm

from secondlook.pipeline.bias.pooling import LEVEL, SPREADS, effects, pool, pooled
from secondlook.pipeline.core.comparison import Compared, Estimate
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import Interval

NOTHING = Estimate(0.0, Interval(0.0, 0.0))


def group(*values: tuple[str, str], n: int = 10, k: float = 5, **more: object) -> Compared:
    return Compared(Group(values), n, k, NOTHING, NOTHING, NOTHING, 1.0, **more)  # type: ignore[arg-type]


def crossed(rows: int, columns: int) -> list[Group]:
    return [Group((("a", str(row)), ("b", str(column)))) for row in range(rows) for column in range(columns)]


def test_alike_groups_are_drawn_together_and_large_ones_stay() -> None:
    none = np.zeros((4, 0))
    alike = pool(none, np.array([2.0, 0, 200, 210]), np.array([10.0, 10, 1000, 1000]), 0.95).value
    assert np.abs(alike[:2] - 0.2).max() < 0.03
    apart = pool(none, np.array([2.0, 0, 200, 800]), np.array([10.0, 10, 1000, 1000]), 0.95).value
    assert apart[3] == pytest.approx(0.8, abs=0.01)
    assert apart[2] == pytest.approx(0.2, abs=0.01)


def test_an_empty_group_is_what_its_attributes_say() -> None:
    """a1 and b1 each add two thirds to the odds' logarithm in 8,000 pictures; a1 with b1 has none."""
    groups = crossed(2, 2)
    n = np.array([4000.0, 2000, 2000, 0])
    k = np.array([0.3, 0.46, 0.46, 0.0]) * n
    found = pool(effects(groups), k, n, 0.95)
    assert 0.46 < found.value[3] < 0.75
    assert found.low[3] < 0.46
    assert found.high[3] > 0.62


def test_against_the_integral_itself() -> None:
    """Three groups, no attributes: level and own effects integrated on a grid, spread by spread."""
    k, n = np.array([3.0, 12, 7]), np.array([20.0, 30, 10])
    found = pool(np.zeros((3, 0)), k, n, 0.95)
    start = np.log((k.sum() + 0.5) / (n.sum() - k.sum() + 0.5))
    at = np.linspace(-6, 6, 481)
    likelihood = np.exp(k[:, None] * at - n[:, None] * np.logaddexp(0, at) - (k * at.mean())[:, None])
    evidence, values = [], []
    for spread in SPREADS:
        level = norm.pdf(at, start, LEVEL)
        own = norm.pdf(at[:, None], at[None, :], max(spread, 0.05))  # logit, level
        mass, mean = likelihood @ own, (likelihood * expit(at)) @ own
        joint = level * mass.prod(axis=0)
        evidence.append(joint.sum())
        values.append([(joint * mean[one] / mass[one]).sum() / joint.sum() for one in range(3)])
    weight = np.array(evidence) / sum(evidence)
    assert found.value == pytest.approx(weight @ np.array(values), abs=0.02)


def test_small_groups_come_closer_to_the_truth_than_raw_shares() -> None:
    """Races by ages with effects that mostly add up, 40 made datasets."""
    rng, groups, raw, told, held = np.random.default_rng(6), crossed(6, 8), [], [], []
    for _ in range(40):
        own = rng.normal(0, 0.3, 6)[:, None] + rng.normal(0, 0.3, 8) + rng.normal(0, 0.2, (6, 8))
        true = expit(1.2 + own).ravel()
        n = rng.multinomial(1200, rng.dirichlet(np.ones(48) * 2)) + 5
        k = rng.binomial(n, true)
        found = pool(effects(groups), k.astype(np.float64), n.astype(np.float64), 0.95)
        small = n < 50
        raw.append(((k / n - true) ** 2)[small])
        told.append(((found.value - true) ** 2)[small])
        held.append(((found.low <= true) & (true <= found.high))[small])
    assert np.concatenate(told).mean() < 0.5 * np.concatenate(raw).mean()
    assert np.concatenate(held).mean() > 0.91


def test_only_groups_of_a_kind_are_pooled_and_only_plain_shares() -> None:
    kinds = [group(("a", str(at)), k=at) for at in range(4)] + [group(("b", "x")), group(("b", "y"))]
    lacking = [group(("c", str(at)), missing=3.0) for at in range(4)]
    mended = [group(("d", str(at)), corrected=NOTHING) for at in range(4)]
    found = pooled([*kinds, *lacking, *mended], 0.95)
    assert [one.pooled is not None for one in found] == [True] * 4 + [False] * 10
    assert [one.group for one in found] == [one.group for one in [*kinds, *lacking, *mended]]
    first = found[0].pooled
    assert first is not None
    assert 0 < first.value < 0.2


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=6, max_size=6))
def test_shares_lie_in_their_intervals_and_within_0_and_1(cells: list[tuple[int, int]]) -> None:
    k = np.array([one for one, _ in cells], np.float64)
    n = k + np.array([other for _, other in cells], np.float64)
    found = pool(effects(crossed(2, 3)), k, n, 0.9)
    assert ((found.low > 0) & (found.high < 1)).all()
    assert ((found.low < found.value + 1e-9) & (found.value < found.high + 1e-9)).all()
