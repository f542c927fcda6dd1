"""Limits as people write them, the sentence for wrong ones, and who is picked under them."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.core.comparison import Estimate
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.frontier import Point, Role
from secondlook.pipeline.core.statistics import Interval
from secondlook.pipeline.learn.students.budget import limits, pick


def point(name: str, accuracy: float, ms: float, mb: float = 1.0, role: Role = "student", madds: float = 1e6) -> Point:
    def about(value: float) -> Estimate:
        return Estimate(value, Interval(value, value))

    right, fast, many = about(accuracy), about(ms / 1e3), about(ms / 30)
    return Point(name, name, name, role, 100, right, fast, many, madds=madds, params=1e5, bytes=mb * 1e6)


@pytest.mark.parametrize(
    ("text", "axis", "most"),
    [
        ("5ms", "latency", 0.005),
        ("800us", "latency", 0.0008),
        ("0.5 s", "latency", 0.5),
        ("5MS@1", "latency", 0.005),
        ("50ms@64", "latency_64", 0.05),
        ("2MB", "bytes", 2e6),
        ("1.5kb", "bytes", 1500),
        ("2MiB", "bytes", 2 * 2**20),
        ("20Mmadds", "madds", 2e7),
        ("1gmadds", "madds", 1e9),
        ("300madds", "madds", 300),
        ("1Mparams", "params", 1e6),
        ("250Kparams", "params", 2.5e5),
    ],
)
def test_a_limit_has_a_unit_that_says_what_it_limits(text: str, axis: str, most: float) -> None:
    (limit,) = limits(text)
    assert (limit.axis, limit.text) == (axis, text)
    assert limit.most == pytest.approx(most)


def test_several_limits_stand_with_commas_between() -> None:
    assert [limit.axis for limit in limits("5ms, 2MB,20Mmadds ,1Mparams,9ms@64")] == [
        "latency",
        "bytes",
        "madds",
        "params",
        "latency_64",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10M", r"10M may be multiply-adds, parameters or bytes: write 10Mmadds, 10Mparams or 10MB"),
        ("5", "5 has no unit: write it such as 5ms"),
        ("5parsecs", "5parsecs has a unit that it does not know; it takes limits such as 5ms"),
        ("5ms@32", "a unit that it does not know"),
        ("ms", "takes limits such as 5ms, .*, got 'ms'"),
        ("", "takes limits such as 5ms, .*, got ''"),
        ("5ms,", "takes limits such as 5ms, .*, got ''"),
        ("-5ms", "takes limits such as"),
        ("1e3ms", "takes limits such as"),
        ("0ms", "takes limits above 0, got '0ms'"),
        ("5ms,1s", "takes one limit of a kind, got 5ms and 1s"),
        ("9" * 400 + "ms", "takes limits above 0"),
    ],
)
def test_a_wrong_limit_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as problem:
        limits(text)
    assert "\n" not in str(problem.value)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(UserError):
        assert all(0 < limit.most < math.inf for limit in limits(text))


def test_the_most_accurate_under_the_limits_is_picked_and_the_next_one_told() -> None:
    points = [
        point("big", 0.95, 9),
        point("middle", 0.9, 4),
        point("small", 0.8, 1),
        point("fat", 0.94, 4, mb=9),
        point("teacher", 0.99, 1, role="teacher"),
    ]
    found = pick(points, limits("5ms,2MB"))
    assert found.best is not None
    assert found.runner_up is not None
    assert (found.best.name, found.runner_up.name, found.under) == ("middle", "small", 2)
    assert pick(points, limits("4ms,1MB")).best == points[1]  # the limit itself is under it


def test_of_equally_accurate_ones_the_faster_then_the_smaller_is_picked() -> None:
    points = [point("b", 0.9, 2), point("c", 0.9, 1, mb=2), point("a", 0.9, 1, mb=1)]
    found = pick(points, limits("5ms"))
    assert found.best == points[2]
    assert found.runner_up == points[1]


def test_where_none_is_under_the_limits_the_nearest_is_told() -> None:
    points = [point("far", 0.95, 50), point("near", 0.9, 6), point("fat", 0.9, 1, mb=9)]
    found = pick(points, limits("5ms,2MB"))
    assert found.best is None
    assert found.nearest == points[1]
    assert found.exceeds == pytest.approx(1.2)
    assert pick([], limits("5ms")).nearest is None


def test_what_was_not_measured_is_under_no_limit() -> None:
    found = pick([point("x", 0.9, 1, madds=math.nan)], limits("1Gmadds"))
    assert found.best is None
    assert found.exceeds == math.inf
