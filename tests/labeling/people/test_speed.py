"""Seconds of an answer, learned from answers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling.people.speed import DEFAULT_S, LEAN, seconds_per_answer, worked


def test_without_answers_everything_takes_the_default() -> None:
    told = seconds_per_answer([math.nan], ["doubted"], [3])
    assert (told.overall, told.answers, told.of("doubted", 3)) == (DEFAULT_S, 0, DEFAULT_S)
    assert told.interval.low < DEFAULT_S < told.interval.high


def test_a_coffee_is_no_work() -> None:
    rng = np.random.default_rng(0)
    times = np.exp(rng.normal(np.log(4), 0.5, 500))
    with_pauses = times.copy()
    with_pauses[::50] = 3600.0
    assert worked(with_pauses).mean() == pytest.approx(times.mean(), rel=0.15)
    assert with_pauses.mean() > 10 * times.mean()


def test_a_kind_is_learned_from_its_own_answers_and_few_of_them_lean_on_all() -> None:
    seconds = [2.0] * 200 + [20.0] * 200 + [50.0]
    kinds = ["fast"] * 200 + ["slow"] * 200 + ["rare"]
    told = seconds_per_answer(seconds, kinds, [4] * 401)
    assert told.of("fast", 4) == pytest.approx((2 * 200 + LEAN * told.of("fast")) / (200 + LEAN))
    assert told.of("fast") < 4
    assert told.of("slow") > 15
    assert abs(told.of("rare") - told.overall) < 3
    assert told.of("unknown", 9) == told.overall


def test_more_classes_to_choose_from_may_take_longer() -> None:
    told = seconds_per_answer([3.0] * 100 + [9.0] * 100, ["a"] * 200, [2] * 100 + [10] * 100)
    assert told.of("a", 2) < told.of("a", 10)
    assert told.of("a", 5) == told.of("a")


def test_the_interval_is_between_people_and_holds_the_mean() -> None:
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        pace = np.exp(rng.normal(np.log(5), 0.4, 20))
        times = np.exp(rng.normal(np.log(pace)[:, None], 0.5, (20, 50)))
        told = seconds_per_answer(times.reshape(-1), people=[str(n) for n in np.repeat(np.arange(20), 50)])
        held += told.interval.low <= 5 * np.exp((0.4**2 + 0.5**2) / 2) <= told.interval.high
    assert held >= 170  # of 200: times are cut, and twenty people are few


def test_what_is_told_of_few_answers_is_their_mean_whatever_was_assumed() -> None:
    seconds, people = [2.0, 3.0, 4.0] * 18, ["ann", "ann", "ann", "bob", "bob", "bob", "cleo", "cleo", "cleo"] * 6
    told = seconds_per_answer(seconds, people=people, default=60.0)
    assert told.mean == pytest.approx(3.0)
    assert 2.5 < told.interval.low < 3 < told.interval.high < 3.6
    assert told.overall > 10, "a budget leans on what was assumed"


def test_the_interval_is_wide_where_three_people_differ() -> None:
    told = seconds_per_answer([2.0] * 30 + [4.0] * 30 + [9.0] * 30, people=["ann"] * 30 + ["bob"] * 30 + ["cleo"] * 30)
    assert told.interval.low < 2.5
    assert told.interval.high > 9


def test_an_impossible_time_is_finite() -> None:
    told = seconds_per_answer([1e308, 1e308, math.inf, math.nan, 3.0])
    assert all(map(math.isfinite, (told.mean, told.overall, told.interval.low, told.interval.high)))
    assert np.isfinite(worked([math.inf, 1e308])).all()


@given(st.lists(st.floats(0, 1e6), max_size=40))
def test_what_is_worked_is_never_more_than_it_took(times: list[float]) -> None:
    assert (worked(times) <= np.array(times, np.float64)).all()
