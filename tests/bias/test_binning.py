"""Numbers and spans as people write them: what they say, their bins, and their order."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.bias.binning import Bins, Span, bins, in_order, span
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.groups import NOT_SAID

INF = math.inf


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("31", Span(31, 31)), (" 31.5 ", Span(31.5, 31.5)), ("-5", Span(-5, -5)), ("20-29", Span(20, 29)), ("20 to 29", Span(20, 29)),
        ("3\u20139", Span(3, 9)), ("70+", Span(70, INF)), ("more than 70", Span(70, INF)), (">=70", Span(70, INF)),
        ("70 and over", Span(70, INF)), ("<18", Span(-INF, math.nextafter(18, -INF))), ("up to 18", Span(-INF, 18)), ("18 or younger", Span(-INF, 18)),
        ("29-20", None), ("", None), ("old", None), ("1-2-3", None), ("03-Sep", None), ("nan", None), ("inf", None), ("1e3", None),
    ],
)  # fmt: skip
def test_what_a_value_says(text: str, said: Span | None) -> None:
    assert span(text) == said


def test_bins_are_named_and_hold_what_they_say() -> None:
    made = bins("18,30,50", "age")
    assert made is not None
    assert made.names == ("<18", "18-29", "30-49", "50+")
    told = {"0": "<18", "17.9": "<18", "18": "18-29", "29.5": "18-29", "20-29": "18-29", "<18": "<18", "50": "50+"}
    told |= {"more than 70": "50+", "up to 18": NOT_SAID, "10-20": NOT_SAID, "old": NOT_SAID, NOT_SAID: NOT_SAID}
    assert {value: made.binned(value) for value in told} == told


def test_narrow_and_broken_bins_have_names_of_their_own() -> None:
    assert Bins((1.0, 2.0, 4.0)).names == ("<1", "1", "2-3", "4+")
    assert Bins((0.5, 1.0)).names == ("<0.5", "0.5 to <1", "1+")


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=6, unique=True), st.integers(-60, 60))
def test_the_name_of_a_numbers_bin_holds_the_number(edges: list[int], number: int) -> None:
    made = Bins(tuple(float(edge) for edge in sorted(edges)))
    assert len({*made.names}) == len(edges) + 1
    name = made.binned(str(number))
    said = span(name)
    assert said is not None
    assert said.low <= number <= said.high


@pytest.mark.parametrize("text", ["18,18", "30,18", "a,b", ",", "18,", "nan", "1,inf"])
def test_bins_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(
        UserError, match=r"bins of age takes numbers that grow, with commas between, such as 18,30,50; got"
    ):
        bins(text, "age")


def test_no_bins_are_asked_for() -> None:
    assert bins(" ", "age") is None


def test_values_are_in_the_order_that_people_expect() -> None:
    values = ["more than 70", "3-9", NOT_SAID, "10-19", "b", "0-2", "A", "100", "<2"]
    assert in_order(values) == ["<2", "0-2", "3-9", "10-19", "more than 70", "100", "A", "b", NOT_SAID]
