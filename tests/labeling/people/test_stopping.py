"""What an hour fixes, what the next one will, and whether it pays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling.people.stopping import LEAST_ANSWERS, Left, Rate, at_most, pace, worth_going_on
from secondlook.pipeline.core.statistics import Interval


def test_a_rate_by_hand() -> None:
    told = pace([1, 0, 0, 1], [900.0] * 4, np.random.default_rng(0))
    assert told is not None
    assert (told.fixed, told.hours, told.rate.value) == (2, 1.0, 2.0)
    assert told.rate.interval.low < 2 < told.rate.interval.high
    assert told.following is None, "four answers are too few to look ahead"
    assert pace([], [], np.random.default_rng(0)) is None


def test_a_steady_rate_goes_on() -> None:
    rng = np.random.default_rng(1)
    told = pace(rng.random(3000) < 0.2, np.full(3000, 6.0), rng)
    assert told is not None
    assert told.following is not None
    assert told.following.value == pytest.approx(120, rel=0.3)


def test_a_falling_rate_is_seen_to_fall() -> None:
    rng = np.random.default_rng(2)
    chance = np.linspace(0.6, 0.05, 3000)
    told = pace(rng.random(3000) < chance, np.full(3000, 6.0), rng)
    assert told is not None
    assert told.following is not None
    assert told.following.value < 0.5 * told.rate.value


def test_near_hours_count_more_than_far_ones() -> None:
    rng = np.random.default_rng(4)
    chance = np.repeat([0.05, 0.5, 0.05], 1000)
    told = pace(rng.random(3000) < chance, np.full(3000, 6.0), rng)
    assert told is not None
    assert told.following is not None
    assert told.following.value < 90  # 30 are true; with all hours alike it would be 118


def test_bursts_make_the_forecast_less_sure() -> None:
    steady, bursts = np.tile([1.0, 0, 0, 0], 750), np.repeat(np.tile([1.0, 0, 0, 0], 6), 125)
    width = []
    for fixed in (steady, bursts):
        told = pace(fixed, np.full(3000, 6.0), np.random.default_rng(5))
        assert told is not None
        assert told.following is not None
        width.append(told.following.interval.high - told.following.interval.low)
    assert width[1] > 3 * width[0]


@pytest.mark.parametrize("slope", [0.0, -0.4])
def test_the_next_hour_is_in_the_interval_about_as_often_as_it_says(slope: float) -> None:
    held = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        chance = 0.2 * np.exp(slope * np.arange(600 * 6) / 3600 * 1.0)
        fixed = rng.random(len(chance)) < chance
        seconds = np.exp(rng.normal(np.log(6) - 0.125, 0.5, len(chance)))
        now = 600 * 5
        told = pace(fixed[:now], seconds[:now], rng)
        assert told is not None
        assert told.following is not None
        ahead = now + int(np.searchsorted(np.cumsum(seconds[now:]), 3600))
        held += told.following.interval.low <= fixed[now:ahead].sum() <= told.following.interval.high
    assert held >= 275  # of 300, 95 % is 285


def test_nothing_fixed_is_forecast_as_little_and_not_as_nothing() -> None:
    n = LEAST_ANSWERS * 5
    told = pace(np.zeros(n), np.full(n, 5.0), np.random.default_rng(3))
    assert told is not None
    assert told.following is not None
    assert told.following.value < 10
    assert told.rate.interval.high > 0


def test_what_was_taken_back_does_not_look_like_a_slow_beginning() -> None:
    stands = np.arange(400) >= 200
    fixed = stands & (np.arange(400) % 4 == 0)  # those of the first half were reverted
    seconds = np.full(400, 3.0)
    told = pace(fixed, seconds, np.random.default_rng(0), stands=stands)
    without = pace(fixed, seconds, np.random.default_rng(0))
    assert told is not None
    assert without is not None
    assert told.following is not None
    assert without.following is not None
    assert (told.fixed, round(told.hours, 6), round(told.seen, 6)) == (50, 0.333333, 0.166667)
    assert told.following.value == pytest.approx(300, rel=0.1), "as the half that stands"
    assert without.following.value > 1.15 * told.following.value
    assert pace(fixed, seconds, np.random.default_rng(0), stands=np.zeros(400, bool)).following is None  # type: ignore[union-attr]


@given(st.lists(st.floats(0, 1e6), min_size=6, max_size=6))
def test_an_hour_fixes_no_more_than_there_is(numbers: list[float]) -> None:
    (low, middle, high), (least, left, most) = sorted(numbers[:3]), sorted(numbers[3:])
    told = at_most(Rate(middle, Interval(low, high)), Left(left, Interval(least, most)))
    assert told.interval.low <= told.value <= told.interval.high
    assert told.value == min(middle, left)
    assert told.interval.high <= most


def test_money_decides_where_it_is_said_and_labels_else() -> None:
    assert worth_going_on(12, least=10, worth=0, price=0)
    assert not worth_going_on(9, least=10, worth=0, price=20)
    assert not worth_going_on(9, least=10, worth=3, price=0)
    assert worth_going_on(9, least=10, worth=3, price=20)
    assert not worth_going_on(6, least=1, worth=3, price=20)
