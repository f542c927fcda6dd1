"""What looks mangled, and what it is said to have been."""

import csv
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.bias.repairs import RULES, propose
from secondlook.pipeline.core.groups import NOT_SAID

TILES = ("0-2", "20-29", "30-39", "more than 70")


def proposed(*values: str, **counts: int) -> dict[str, tuple[str, str]]:
    """value → what it was, by which rule."""
    return {one.value: (one.into, one.rule) for one in propose(dict.fromkeys(values, 5) | counts).repairs}


def test_the_ages_of_the_faces_are_recognized(shared_data: Callable[[str], Path]) -> None:
    with (shared_data("faces") / "labels.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    found = propose(Counter(row["age"] for row in table))
    told = [(one.value, one.into, one.rule, one.pictures) for one in found.repairs]
    assert told == [("03-Sep", "3-9", "spreadsheet-date", 612), ("Oct-19", "10-19", "spreadsheet-date", 557)]
    assert found.doubts == ()
    for column in ("gender", "race", "service_test"):
        assert propose(Counter(row[column] for row in table)) == propose({})


@pytest.mark.parametrize(
    ("low", "high"),
    [("03-Sep", "Oct-19"), ("9-Mar", "19-Oct"), ("3 Sept", "Oct 19"), ("2026-03-09", "2019-10-01 00:00:00")],
)
def test_a_date_is_read_in_the_order_that_the_other_values_confirm(low: str, high: str) -> None:
    rule = "spreadsheet-date"
    assert proposed(*TILES, low, high) == {low: ("3-9", rule), high: ("10-19", rule)}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (("03-Sep", "04-Oct"), "no other value is a span"),
        (("03-Sep", "Tuesday"), "no other value is a span"),
        (("03-Sep", "5-7"), "no span that they may have been fits"),  # it would overlap
        (("03-Sep", "20-29"), "no span that they may have been fits"),  # a gap lies between
        (("0-0", "2007-01-01"), "in several ways"),  # 1-7 and 1-1 both go on from 0-0
    ],
)
def test_where_it_is_not_clear_nothing_is_proposed_and_it_is_said(values: tuple[str, ...], why: str) -> None:
    found = propose(dict.fromkeys(values, 5))
    assert found.repairs == ()
    assert why in found.doubts[0]


def test_a_month_that_no_span_ends_with_is_a_month() -> None:
    assert propose({"Oct-09": 5, "11-19": 5}) == propose({})


def test_spaces_dashes_case_and_ways_to_say_nothing() -> None:
    found = proposed(
        "Male", "Female", "20-29", **{"male ": 1, "MALE": 2, "20\u201329": 1, "n/a": 3, " - ": 1, "fe\u200bmale": 1}
    )
    assert found == {
        "male ": ("Male", "whitespace+case"),
        "MALE": ("Male", "case"),
        "20\u201329": ("20-29", "dash"),
        "n/a": (NOT_SAID, "not-said"),
        " - ": (NOT_SAID, "whitespace+not-said"),
        "fe\u200bmale": ("fe male", "whitespace"),
    }


def test_a_code_that_looks_like_nothing_is_left_among_codes() -> None:
    assert proposed("US", "DE", "NA") == {}
    assert "'NA' may be a code" in propose({"US": 1, "DE": 1, "NA": 1}).doubts[0]
    assert proposed("yes", "no", "NA") == {"NA": (NOT_SAID, "not-said")}


def test_names_with_dashes_of_their_own_are_left() -> None:
    assert proposed("Rhein\u2013Main", "Berlin") == {}


@given(st.dictionaries(st.text(max_size=12), st.integers(1, 99), max_size=8))
def test_what_is_repaired_needs_no_repair_and_nothing_is_lost(counts: dict[str, int]) -> None:
    found = propose(counts)
    assert {one.value for one in found.repairs} <= set(counts)
    assert all({*one.rule.split("+")} <= {*RULES} and one.into != one.value for one in found.repairs)
    means = {one.value: one.into for one in found.repairs}
    after: Counter[str] = Counter()
    for value, n in counts.items():
        after[means.get(value, value)] += n
    del after[NOT_SAID]
    assert propose(after).repairs == ()


@given(st.lists(st.integers(0, 4), min_size=3, max_size=8))
def test_spans_that_a_spreadsheet_took_come_back(widths: list[int]) -> None:
    """Spans that go on from one another; those that are a day and a month became dates."""
    spans, start = [], 0
    for width in widths:
        spans.append((start, start + width))
        start += width + 1

    def mangled(low: int, high: int) -> str:
        if 1 <= low <= 28 and 1 <= high <= 12:
            return date(2026, high, low).strftime("%d-%b")
        return f"{low}-{high}"

    values = {mangled(*one): f"{one[0]}-{one[1]}" for one in spans}
    means = {one.value: one.into for one in propose(dict.fromkeys(values, 5)).repairs}
    assert {value: means.get(value, value) for value in values} == values
