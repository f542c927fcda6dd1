"""The report by groups in a real browser, from disk: on a phone, on a desk, by keyboard, in the dark, and as a PDF.

`SECONDLOOK_SCREENSHOTS=docs` keeps the pictures that the documentation shows: digits, with made sites, lights and hands.
"""

import os
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.lint.people import remedies as next_steps
from secondlook.pipeline.report.bias.facts import BiasFacts
from secondlook.pipeline.report.bias.page import render
from secondlook.pipeline.report.bias.view import view
from tests.browser import CONTRAST

from . import made_audit as made
from .conftest import EVIL
from .test_bias_page import found, hostile, many_groups, nothing

Visit = Callable[..., tuple[Any, list[str]]]
OPEN = "document.querySelectorAll('details').forEach(one => one.open = true)"


def planted() -> BiasFacts:
    audit = made.planted(4000)
    remedies = {(one.rule, its.group): next_steps(one, its) for one in audit.measures for its in one.groups}
    card = {"What people said": {"purpose": "to try out an audit by groups: sites, lights and hands are made up"}}
    return made.facts(audit, found=found(audit), since=5, changes=made.changed(audit), remedies=remedies, card=card)


PAGES: dict[str, Callable[[], BiasFacts]] = {
    "planted": planted,
    "hostile": hostile,
    "many": lambda: many_groups(120),
    "nothing": nothing,
}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: render(view(facts())) for name, facts in PAGES.items()}


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out_nothing_is_loaded_and_nothing_runs(
    visit: Visit, pages: dict[str, str], name: str, width: int
) -> None:
    page, seen = visit(pages[name], width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.evaluate(OPEN)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("script, iframe, object, [onerror]").count() == 0
    assert seen == []
    if name == "hostile":
        assert page.inner_text("h1") == EVIL


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["planted", "hostile"])
def test_every_text_has_enough_contrast(visit: Visit, pages: dict[str, str], name: str, scheme: str) -> None:
    page, _ = visit(pages[name], color_scheme=scheme)
    page.evaluate(OPEN)
    lowest = page.evaluate(CONTRAST)
    assert lowest["ratio"] >= 4.5, lowest


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_drawn_stands_out_from_the_paper(visit: Visit, pages: dict[str, str], scheme: str) -> None:
    """WCAG 2.2, 1.4.11: 3 between a figure's dot or diamond, or the line of the others, and what is behind it."""
    page, _ = visit(pages["planted"], color_scheme=scheme)
    lowest = page.evaluate(
        """() => {
        const parse = c => c.match(/[\\d.]+/g).map(Number).slice(0, 3);
        const light = c => { const f = c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                             return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
        const ratio = (x, y) => { const [a, b] = [light(x), light(y)].sort((p, q) => q - p); return (a + 0.05) / (b + 0.05); };
        const paper = parse(getComputedStyle(document.body).backgroundColor);
        const tint = parse(getComputedStyle(document.querySelector('svg .harm')).fill);
        const harm = paper.map((p, i) => p + (tint[i] - p) * 0.085);
        const marks = [...document.querySelectorAll('svg circle.quiet, svg path.found, svg .rest, svg .pooled, svg path.explained')];
        return Math.min(...marks.map(one => { const style = getComputedStyle(one);
            const front = parse(one.matches('.rest, .pooled, .explained') ? style.stroke : style.fill);
            return Math.min(ratio(front, paper), ratio(front, harm)); }));
        }"""
    )
    assert lowest >= 3


def test_it_can_be_read_by_keyboard_alone(visit: Visit, pages: dict[str, str]) -> None:
    page, _ = visit(pages["planted"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert page.locator(".skip").bounding_box()["x"] >= 0  # seen once it has the focus
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    first = page.locator("details.all summary").first
    first.focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert page.locator("details.all").first.evaluate("one => one.open")
    scrolls = page.locator(".scroll")
    assert scrolls.evaluate_all("all => all.every(one => one.tabIndex === 0 && one.getAttribute('aria-label'))")


def test_who_wants_less_motion_gets_none(visit: Visit, pages: dict[str, str]) -> None:
    page, _ = visit(pages["planted"], reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration) || parseFloat(getComputedStyle(e).animationDuration)).length"
    )
    assert moving == 0


def test_who_fares_worst_is_seen_without_scrolling_far(visit: Visit, pages: dict[str, str]) -> None:
    page, _ = visit(pages["planted"], 390)
    assert page.locator(".lead em").bounding_box()["y"] < 700
    assert "light: lamp" in re.sub("[\u2068\u2069]", "", page.inner_text(".lead em"))
    row = page.locator(".glance tbody tr").first
    assert "light: lamp" in row.inner_text()


def test_on_a_phone_names_stand_above_their_lanes_and_on_a_desk_beside(visit: Visit, pages: dict[str, str]) -> None:
    for width, beside in ((390, False), (1280, True)):
        page, _ = visit(pages["planted"], width)
        lane = page.locator(".lane").first
        who, track = (lane.locator(part).bounding_box() for part in (".who", ".track"))
        assert (abs(who["y"] - track["y"]) < 20) == beside
        assert (track["x"] > who["x"] + who["width"] - 1) == beside


def test_it_prints_to_pages_with_all_figures_open_and_commands_whole(
    visit: Visit, pages: dict[str, str], tmp_path: Path
) -> None:
    page, _ = visit(pages["planted"])
    assert not page.locator("table.exact").first.is_visible()
    page.emulate_media(media="print")
    tables = page.locator("section > article table.exact, .scroll > table.exact")
    assert page.locator("article:not(.others article) > details.all table.exact").first.is_visible()
    assert tables.count() >= 8
    assert not page.locator("nav").is_visible()
    cut = page.evaluate(
        "[...document.querySelectorAll('code')].filter(one => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1).length"
    )
    assert cut == 0
    # A4 without its margins, at 96 dots an inch.
    page.set_viewport_size({"width": 680, "height": 990})
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    wide = page.evaluate(
        "[...document.querySelectorAll('table')].filter(one => one.checkVisibility() && one.getBoundingClientRect().right > 681).length"
    )
    assert wide == 0
    file = tmp_path / "report.pdf"
    page.pdf(path=str(file), prefer_css_page_size=True, tagged=True)
    data = file.read_bytes()
    assert data.startswith(b"%PDF")
    n = len(re.findall(rb"/Type\s*/Page\b", data))
    assert 8 <= n <= 60
    tagged = b"/MarkInfo" in data or any(b"/MarkInfo" in part for part in _streams(data))
    assert tagged  # headings and tables are told to screen readers


def _streams(data: bytes) -> list[bytes]:
    found = []
    for part in re.findall(rb"stream\r?\n(.*?)endstream", data, re.DOTALL):
        try:
            found.append(zlib.decompress(part))
        except zlib.error:
            continue
    return found


@pytest.mark.skipif(
    not os.environ.get("SECONDLOOK_SCREENSHOTS"), reason="only to make the pictures of the documentation"
)
def test_pictures_for_the_documentation(browser: Any, tmp_path: Path) -> None:
    """Two parts of one page side by side on a desk; the beginning on a phone."""
    import io

    from PIL import Image

    folder, file = Path(os.environ["SECONDLOOK_SCREENSHOTS"]), tmp_path / "report.html"
    file.write_text(render(view(planted())), encoding="utf-8")
    desk = browser.new_context(viewport={"width": 1260, "height": 1000}, color_scheme="light")
    page = desk.new_page()
    page.goto(file.as_uri())
    first = Image.open(io.BytesIO(page.screenshot()))
    page.evaluate("document.querySelector('#model').scrollIntoView({behavior: 'instant'})")
    second = Image.open(io.BytesIO(page.screenshot()))
    both = Image.new("RGB", (2 * 1260 + 84, 1000 + 56), (219, 213, 200))
    both.paste(first, (28, 28))
    both.paste(second, (1260 + 56, 28))
    both.save(folder / "bias-report.png", optimize=True)
    desk.close()
    phone = browser.new_context(viewport={"width": 390, "height": 844}, device_scale_factor=2, color_scheme="light")
    page = phone.new_page()
    page.goto(file.as_uri())
    views = []
    for part in ("body", "#worst", "#model article"):
        page.evaluate("part => document.querySelector(part).scrollIntoView({behavior: 'instant'})", part)
        views.append(Image.open(io.BytesIO(page.screenshot())))
    whole = Image.new("RGB", (3 * 780 + 4 * 40, 1688 + 80), (219, 213, 200))
    for at, one in enumerate(views):
        whole.paste(one, (40 + at * 820, 40))
    whole.resize((whole.width // 2, whole.height // 2), Image.Resampling.LANCZOS).save(
        folder / "bias-report-phone.png", optimize=True
    )
    phone.close()
