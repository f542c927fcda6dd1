"""The page of a frontier: what it says, what it draws, and that nothing breaks out of it or sticks out."""

import dataclasses
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from secondlook.pipeline.report.frontier import chart, words
from secondlook.pipeline.report.frontier.page import render
from tests.browser import CONTRAST

from .conftest import BREAKOUT, EVIL
from .made_frontier import about, frontier, groups

TOLD = ["under 5ms, 2MB: student-x, 90.5 % right", f"the next is {EVIL}"]


def page(**changed: Any) -> str:
    made = dataclasses.replace(frontier(), **changed)
    return render(made, TOLD, made.points[2].name)


def test_every_model_stands_in_the_table_and_in_the_picture_under_the_same_number() -> None:
    text = page()
    found = dict(re.findall(r"<title>(\d+): ([\w.-]+),", text))
    rows = re.findall(
        r'<span class="key-of">(\d+)</span><bdi>.*?</bdi>.*?<span class="meaning"><bdi>([\w.-]+)</bdi>', text
    )
    assert len(found) == len(frontier().points) == 13
    assert found.items() <= set(rows)


def test_marks_say_who_is_picked_refused_beaten_and_who_taught() -> None:
    text = page()
    kinds = re.findall(r'<circle class="dot (\w+)" cx', text)
    assert sorted(set(kinds)) == ["off", "on", "picked", "refused", "teacher"]
    assert (kinds.count("picked"), kinds.count("refused"), kinds.count("off")) == (1, 2, 1)
    assert "12 of" not in words.headline(frontier())
    assert words.headline(frontier()) == "11 of 12 students are on the frontier, 2 are refused"
    assert "is nowhere worse and surely better in accuracy, latency at batch 1 and bytes on disk, and by 1 more" in text


def test_hostile_names_are_text() -> None:
    text = page()
    assert EVIL not in text
    assert BREAKOUT not in text
    assert "&lt;img src=x" in text
    assert "<script" not in text


def test_what_nobody_was_measured_on_has_no_column() -> None:
    def without(**nothing: Any) -> str:
        return page(points=[dataclasses.replace(one, **nothing) for one in frontier().points])

    assert "Within clusters" in page()
    assert "Within clusters" not in without(conditional=None)
    assert "Under attack</th>" not in without(robust=None)
    assert "Gap between groups</th>" not in without(gap=None)
    assert "No groups to compare" in without(groups=())
    assert "No class was surely forgotten" in without(forgotten=())


def test_a_frontier_that_was_not_held_out_says_so_first() -> None:
    assert 'class="warned"' not in page()
    assert 'class="warned"' in page(held_out=False, notes=("no picture lies in the split test",))


def test_the_line_climbs_from_the_fastest_to_the_most_accurate() -> None:
    points = frontier().points
    drawn = chart.picture(points, range(1, 14), [12, 6, 2])
    stairs = re.findall(r'class="stair" x1="([\d.]+)%" y1="([\d.]+)%" x2="([\d.]+)%" y2="([\d.]+)%"', str(drawn))
    corners = [tuple(map(float, its)) for its in stairs]
    assert all(x1 <= x2 and y1 >= y2 for x1, y1, x2, y2 in corners)
    assert all(here[2:] == then[:2] for here, then in pairwise(corners))


def test_dots_lie_where_their_figures_are() -> None:
    """Twice the latency is the same way to the right each time; a point more is the same way up."""
    some = [
        dataclasses.replace(
            frontier().points[1], name=f"m{k}", latency=about(0.001 * 2**k, 0), accuracy=about(0.5 + 0.1 * k)
        )
        for k in range(3)
    ]
    found = re.findall(
        r'<circle class="dot \w+" cx="([\d.]+)%" cy="([\d.]+)%"', str(chart.picture(some, [1, 2, 3], []))
    )
    (x1, y1), (x2, y2), (x3, y3) = sorted(tuple(map(float, its)) for its in found)
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.02)
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.02)
    assert y1 > y2


def test_one_model_alone_is_drawn_in_the_middle() -> None:
    one = dataclasses.replace(frontier().points[1], accuracy=about(0.5, 0))
    assert 'class="dot on" cx="52.50%"' in str(chart.picture([one], [1], [0]))
    assert "<circle" not in str(chart.picture([], [], []))


def test_a_fall_is_red_where_its_whole_interval_is_beyond_the_margin() -> None:
    first, second = groups(0.18)[:2]
    assert 'class="reach found"' in chart.falls(first, 0.3, 0.02)
    assert 'class="reach quiet"' in chart.falls(first, 0.3, first.fall.interval.low)
    assert 'class="reach quiet"' in chart.falls(second, 0.3, 0.02)


def test_the_runner_up_is_told_with_what_it_would_have_given() -> None:
    points = frontier().points
    assert words.runner_up(points[2], points[3]) == (
        "the next is student-mobilenet-v1-0.5-64px-1f0c7e2a: 0.4 points less accurate (−0.2 to 1.0), which may be chance; "
        "0.95 × the latency, 2 × the bytes"
    )
    assert words.runner_up(points[3], points[2]).startswith(f"the next is {points[2].name}: as accurate; ")


def test_who_is_picked_is_told_or_who_came_nearest() -> None:
    best = frontier().points[2]
    assert words.picked(best, ["5ms", "2MB"]) == (
        "under 5ms, 2MB: student-mobilenet-v1-0.25-64px-1f0c7e2a-int8, 92.6 % right (91.6 to 93.6), 4.75 ms, 1.93 MB"
    )
    assert words.picked(None, ["1us"], best, 4750.0).endswith("comes nearest, at 4.75e+03 times what a limit allows")
    assert words.picked(None, ["1us"]) == "no student is under 1us"


def test_forgotten_classes_are_named_up_to_a_few() -> None:
    points = frontier().points
    assert words.forgot(points[5]) == f"{EVIL}, {BREAKOUT}, n0 and 19 more"
    assert words.forgot(points[1]) == ""


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_nothing_loads_and_dots_stay_in_the_picture(
    visit: Callable[..., tuple[Any, list[str]]], width: int
) -> None:
    shown, seen = visit(page(), width)
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    assert seen == []
    assert shown.locator("script, [onerror], [onclick]").count() == 0
    inside = """() => { const box = document.querySelector('svg.frontier').getBoundingClientRect();
        return [...document.querySelectorAll('svg.frontier circle, svg.frontier text')].every(one => {
            const its = one.getBoundingClientRect();
            return its.left >= box.left - 14 && its.right <= box.right + 14 && its.top >= box.top - 14 && its.bottom <= box.bottom + 4; }); }"""
    assert shown.evaluate(inside)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(visit: Callable[..., tuple[Any, list[str]]], scheme: str) -> None:
    shown, _ = visit(page(), color_scheme=scheme)
    lowest = shown.evaluate(CONTRAST)
    assert lowest["ratio"] >= 4.5, lowest
