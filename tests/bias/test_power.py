"""The power statement: against enumerating the exact test, and by its own promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from scipy.stats import binom

from secondlook.pipeline.bias.power import power, smallest_gap
from secondlook.pipeline.bias.tails import Tails


def enumerated(n: int, rest: int, share: float, gap: float, alpha: float, least: float = 0.0) -> float:
    """Over all tables that could come: how likely is one that the test finds, in the direction of the gap."""
    chance = 0.0
    likely = range(n + rest + 1)
    step = 1
    if n * rest > 100_000:  # five deviations around the mean are enough, and a fifteenth of one is a step
        own = share + gap
        mean, spread = n * own + rest * share, (n * own * (1 - own) + rest * share * (1 - share)) ** 0.5
        step = max(int(spread / 15), 1)
        likely = range(max(0, int(mean - 5 * spread)), min(n + rest, int(mean + 5 * spread)) + 1, step)
    for hits in likely:
        found = np.arange(max(0, hits - rest), min(n, hits) + 1)
        p = Tails(n + rest, hits).p(found, np.full(len(found), n))
        off = (found / n - (hits - found) / rest) * np.sign(gap)
        weight = binom.pmf(found, n, share + gap) * binom.pmf(hits - found, rest, share)
        chance += float(weight[(p <= alpha) & (off >= max(least, 1e-12))].sum())
    return chance * step


@pytest.mark.parametrize("alpha", [0.05, 0.002, 0.0001])
@pytest.mark.parametrize(
    ("n", "rest", "share", "gap"),
    [
        (10, 90, 0.1, 0.4),
        (12, 400, 0.02, 0.25),
        (30, 30, 0.3, 0.4),
        (40, 160, 0.2, 0.25),
        (40, 160, 0.6, -0.3),
        (150, 250, 0.5, 0.2),
        (60, 900, 0.05, 0.15),
    ],
)
def test_power_is_that_of_the_exact_test(n: int, rest: int, share: float, gap: float, alpha: float) -> None:
    assert float(power(n, rest, share, gap, alpha)) == pytest.approx(enumerated(n, rest, share, gap, alpha), abs=0.03)


def test_large_groups_as_well() -> None:
    """Just beyond where hits are taken as normal."""
    for n, rest, share, gap in ((950, 980, 0.5, 0.08), (950, 980, 0.5, -0.07), (800, 3000, 0.4, 0.07)):
        exact = enumerated(n, rest, share, gap, 0.001)
        assert float(power(n, rest, share, gap, 0.001)) == pytest.approx(exact, abs=0.02)
    # Of rare hits in a small part of the pictures the distribution leans.
    exact = enumerated(9000, 60_000, 0.03, 0.0125, 1e-9)
    assert float(power(9000, 60_000, 0.03, 0.0125, 1e-9)) == pytest.approx(exact, abs=0.02)


def test_a_difference_that_is_too_small_to_matter_is_no_finding() -> None:
    with_limit = float(power(40, 160, 0.2, 0.2, 0.01, least=0.25))
    assert with_limit == pytest.approx(enumerated(40, 160, 0.2, 0.2, 0.01, 0.25), abs=0.03)
    assert with_limit < float(power(40, 160, 0.2, 0.2, 0.01))


@examples(max_examples=40)
@given(
    st.integers(5, 3000), st.integers(5, 20_000), st.floats(0.01, 0.99), st.sampled_from(["higher", "lower", "either"])
)
def test_the_smallest_gap_has_the_power_that_it_promises(n: int, rest: int, share: float, worse: str) -> None:
    gap = float(smallest_gap(n, rest, share, 0.001, 0.8, worse=worse))  # type: ignore[arg-type]
    room = {way: 1 - share if way > 0 else share for way in {"higher": (1,), "lower": (-1,), "either": (1, -1)}[worse]}
    if np.isnan(gap):
        assert all(float(power(n, rest, share, way * most, 0.001)) < 0.8 for way, most in room.items())
    else:
        assert all(float(power(n, rest, share, way * gap, 0.001)) >= 0.77 for way, most in room.items() if most >= gap)
        assert any(most >= gap for most in room.values())


def test_more_pictures_see_less_and_a_stricter_level_sees_more() -> None:
    gaps = smallest_gap(np.array([20, 80, 320, 1280, 5120]), 10_000, 0.1, 0.001, 0.8)
    assert (np.diff(gaps) < 0).all()
    assert smallest_gap(300, 3000, 0.1, 1e-5, 0.8) > smallest_gap(300, 3000, 0.1, 1e-3, 0.8)


@pytest.mark.parametrize(("n", "rest", "share"), [(0, 100, 0.1), (3, 0, 0.1), (2, 50, 0.5), (10, 10, float("nan"))])
def test_where_no_gap_would_be_seen_there_is_none(n: int, rest: int, share: float) -> None:
    assert np.isnan(smallest_gap(n, rest, share, 1e-6, 0.8))
