"""The page of clusters: the matrix in their order against a slow one, and a real browser at a desk's width and a phone's."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from secondlook.pipeline.core.clusters import Cluster
from secondlook.pipeline.report.clusters import ClusterFacts, Ints, curve, in_order, matrix, render
from tests.browser import CONTRAST

from .conftest import BREAKOUT, EVIL

Visit = Callable[..., tuple[Any, list[str]]]


def cluster(number: int, classes: Sequence[str], **changes: Any) -> Cluster:
    evidence = {
        "pictures": 90,
        "mistakes": 12,
        "share": 0.12,
        "interval": [0.07, 0.2],
        "stability": 0.9,
        "place": number,
    }
    pairs = [[classes[0], classes[1], 7]]
    return Cluster(f"{classes[0]} / {classes[1]}", tuple(classes), evidence=evidence | {"pairs": pairs} | changes)


def facts(k: int, sizes: Sequence[int], seed: int = 0, names: Sequence[str] = ()) -> ClusterFacts:
    """A model of k classes; mistakes inside of clusters of these sizes, of scattered classes, and some anywhere."""
    rng = np.random.default_rng(seed)
    classes = [*names, *(f"class {n}" for n in range(len(names), k))]
    members = np.split(rng.permutation(k), np.cumsum(sizes))
    given: list[int] = []
    named: list[int] = []
    for one in members[:-1]:
        given += rng.choice(one, 9 * len(one)).tolist()
        named += rng.choice(one, 9 * len(one)).tolist()
    given, named = [*given, *rng.integers(k, size=k).tolist()], [*named, *rng.integers(k, size=k).tolist()]
    cells, counts = np.unique(np.array(given, np.int64) * k + named, return_counts=True)
    wrong = cells // k != cells % k
    spread = {"value": 0.5, "low": 0.4, "high": 0.6}
    summary = {
        "model": f"generalist {EVIL}", "method": "covariance", "read_version": 3, "n": len(sizes), "classes": k,
        "pictures": 40 * k, "mistakes": int(counts[wrong].sum()), "coverage": 0.81, "excess": 0.6, "draws": 20, "seed": 7,
        "stability": spread, "coverage_left_out": spread, "excess_left_out": spread,
        "in_none": [classes[n] for n in members[-1]],
        "chosen": {"by": "excess", "tried": [[n, 0.7 - abs(n - len(sizes)) / 99] for n in range(1, 20)]},
    }  # fmt: skip
    found = [cluster(n, [classes[i] for i in one]) for n, one in enumerate(members[:-1])]
    pictures: Ints = np.full(k, 40)
    return ClusterFacts(summary, found, classes, cells[wrong] // k, cells[wrong] % k, counts[wrong], pictures)


PAGES: dict[str, Callable[[], ClusterFacts]] = {
    "ten, hostile": lambda: facts(10, (3, 2), names=(EVIL, BREAKOUT, "a\nb", "x" * 10_000, "\u202egnp.exe", "😀")),
    "a hundred": lambda: facts(100, (12, 20, 8, 8, 5, 3, 2)),
    "fifteen thousand": lambda: facts(15_000, (20,) * 300),
    "none": lambda: facts(4, ()),
}


def test_classes_come_cluster_by_cluster_each_once_and_those_in_none_last() -> None:
    shown = facts(7, ())
    overlapping = [cluster(0, ["class 4", "class 1"]), cluster(1, ["class 1", "class 6", "class 2"])]
    changed = ClusterFacts(**{**vars(shown), "clusters": overlapping})
    order, blocks = in_order(changed)
    assert order == [4, 1, 6, 2, 0, 3, 5]
    assert [(one.number, round(one.start * 7 / 100), round(one.length * 7 / 100)) for one in blocks] == [
        (1, 0, 2),
        (2, 2, 2),
    ]


def test_the_matrix_is_that_of_a_loop() -> None:
    shown = facts(10, (5, 3))
    order, _ = in_order(shown)
    cells, each = matrix(shown, order)
    assert each == 1
    for row, one in enumerate(order):
        for column, other in enumerate(order):
            there = (shown.given == one) & (shown.named == other)
            assert cells[row, column] == pytest.approx(shown.counts[there].sum() / shown.pictures[one])


def test_of_many_classes_a_cell_is_of_several_and_no_mistake_is_lost() -> None:
    shown = facts(900, (20, 30))
    order, _ = in_order(shown)
    cells, each = matrix(shown, order)
    assert (each, cells.shape) == (3, (300, 300))
    assert (cells * 40 * 3).sum() == pytest.approx(shown.counts.sum())
    exact, _ = matrix(facts(300, ()), list(range(300)))
    assert exact.shape == (300, 300)
    first = [order.index(one) // 3 for one in (int(shown.given[0]), int(shown.named[0]))]
    assert cells[first[0], first[1]] > 0


def test_the_curve_marks_the_best_number_and_is_left_out_where_none_was_chosen() -> None:
    drawn = str(curve([[1, 0.1], [2, 0.5], [4, 0.3]], 2))
    assert drawn.count('class="accent"') == 1
    assert 'class="accent" cx="50.00%"' in drawn
    assert curve([], 3) == ""


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: render(shown()) for name, shown in PAGES.items()}


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out_nothing_is_loaded_and_nothing_runs(
    visit: Visit, pages: dict[str, str], name: str, width: int
) -> None:
    page, seen = visit(pages[name], width)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("script, iframe, object, [onerror]").count() == 0
    assert seen == []
    box = page.locator(".map figure").bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=1)
    assert box["width"] > 0.55 * min(width, 900)


def test_rows_bear_names_that_can_be_read_up_to_a_hundred_classes(visit: Visit, pages: dict[str, str]) -> None:
    page, _ = visit(pages["a hundred"], 1280)
    labels = page.locator(".rows li")
    assert labels.count() == 100
    assert page.evaluate("parseFloat(getComputedStyle(document.querySelector('.rows')).fontSize)") >= 6.5
    figure, first, last = (
        page.locator(of).bounding_box() for of in (".map figure", ".rows li:first-child", ".rows li:last-child")
    )
    assert first["y"] == pytest.approx(figure["y"], abs=1)
    assert last["y"] + last["height"] == pytest.approx(figure["y"] + figure["height"], abs=1)
    assert first["height"] == pytest.approx(figure["height"] / 100, abs=0.3)
    page, _ = visit(pages["ten, hostile"], 390)
    assert page.locator(".rows li").count() == page.locator(".columns li").count() == 10
    assert page.locator(".rows li").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(visit: Visit, pages: dict[str, str], scheme: str) -> None:
    page, _ = visit(pages["ten, hostile"], color_scheme=scheme)
    lowest = page.evaluate(CONTRAST)
    assert lowest["ratio"] >= 4.5, lowest
