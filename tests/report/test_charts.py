"""Charts: what they draw is what was counted."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.pipeline.core.statistics import share
from secondlook.pipeline.report.charts import DEEPEST, bar, heatmap, histogram, timeline, whisker
from secondlook.pipeline.report.facts import Confusion, Histogram


def rects(svg: str) -> list[tuple[str, float, float, float, float]]:
    """Class, x, y, width and height (percent) of the rectangles of a chart."""
    pattern = r'<rect class="(\w+)" x="([\d.-]+)%" y="([\d.-]+)%" width="([\d.-]+)%" height="([\d.-]+)%"/>'
    return [(kind, *map(float, numbers)) for kind, *numbers in re.findall(pattern, svg)]


def test_a_bar_is_as_long_as_its_share_of_the_scale_and_its_part_is_marked() -> None:
    assert rects(bar(30, 120, 6)) == [("ink", 0, 0, 25, 100), ("accent", 0, 0, 5, 100)]
    assert rects(bar(0, 0)) == [("ink", 0, 0, 0, 100)]


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(1, 500))
def test_a_whisker_spans_the_interval_and_holds_its_dot(k: int, more: int) -> None:
    drawn = share(min(k, k + more), k + more)
    svg = whisker(drawn, 1.0)
    _, x, _, width, _ = next(rect for rect in rects(svg) if rect[0] == "reach")
    assert x == pytest.approx(drawn.interval.low * 100, abs=0.01)
    assert x + width == pytest.approx(max(drawn.interval.high * 100, x + 0.4), abs=0.02)
    dot = float(re.search(r'cx="([\d.]+)%"', svg)[1])  # type: ignore[index]
    assert dot == pytest.approx(np.clip(drawn.value * 100, 1, 99), abs=0.01)


def test_a_share_of_nothing_has_no_dot() -> None:
    assert "circle" not in whisker(share(0, 0), 1.0)


def test_columns_of_a_histogram_are_in_proportion_and_single_pictures_can_be_seen() -> None:
    columns = rects(histogram(Histogram("Entropy", "bits", (1, 0, 1000), (0.0, 1.0, 2.0, 3.0))))
    assert [height for *_, height in columns] == [1.5, 0, 100]
    assert [y + height for _, _, y, _, height in columns] == [100, 100, 100]
    assert "of 1,001 pictures, from 0 to 3" in histogram(Histogram("E", "", (1, 0, 1000), (0.0, 1.0, 2.0, 3.0)))


def test_names_in_a_chart_are_escaped() -> None:
    assert "<b>" not in histogram(Histogram('"><b>', "", (1,), (0.0, 1.0)))


def test_the_timeline_marks_what_people_decided_and_stays_inside() -> None:
    columns = rects(timeline([("1", 900, False), ("2", 0, False), ("3", 100, True)]))[1:]
    assert [kind for kind, *_ in columns] == ["ink", "faint", "accent"]
    assert columns[2][4] / columns[0][4] == pytest.approx((100 / 900) ** 0.5, abs=0.001)
    assert all(x >= 0 and x + width <= 100.01 for _, x, _, width, _ in columns)
    assert timeline([]) == ""


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4), min_size=4, max_size=4))
def test_the_heat_map_is_the_matrix_and_its_darkest_cell_the_largest_share_of_errors(counts: list[list[int]]) -> None:
    pairs = {(g, p): n for g, row in enumerate(counts) for p, n in enumerate(row)}
    rows = heatmap(Confusion(("a", "b", "c", "d"), pairs))
    assert [[cell.count for cell in cells] for *_, cells in rows] == counts
    assert [total for _, total, _ in rows] == [sum(row) for row in counts]
    wrong = [(cell.count / max(total, 1), cell.tint) for _, total, cells in rows for cell in cells if not cell.agrees]
    assert all((tint == 0) == (part == 0) and 0 <= tint <= DEEPEST + 1e-9 for part, tint in wrong)
    if any(part for part, _ in wrong):
        assert max(wrong)[1] == pytest.approx(DEEPEST)
    assert [tint for _, tint in sorted(wrong)] == pytest.approx(sorted(tint for _, tint in wrong))


def test_top_confusions_are_the_most_frequent_with_their_share_of_the_given_class() -> None:
    found = Confusion(("a", "b", "c"), {(0, 0): 8, (0, 1): 2, (1, 2): 5, (2, 1): 5, (1, 1): 15}).top(2)
    assert [(given, predicted, count) for given, predicted, count, _ in found] == [("b", "c", 5), ("c", "b", 5)]
    assert [part.n for *_, part in found] == [20, 5]
