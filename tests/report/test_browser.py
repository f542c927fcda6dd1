"""The page in a real browser, from disk: it runs nothing, asks for nothing, and fits a phone."""

from collections.abc import Callable
from typing import Any

import pytest

from secondlook.pipeline.report import facts as f
from secondlook.pipeline.report.page import render
from tests.browser import CONTRAST

from .conftest import EVIL


def test_hostile_names_are_shown_as_text_and_nothing_happens(
    visit: Callable[..., tuple[Any, list[str]]], hostile: Callable[..., f.Facts]
) -> None:
    page, seen = visit(render(hostile()))
    assert page.inner_text("h1") == EVIL
    assert page.locator("tbody th", has_text=EVIL).count() >= 5
    assert page.locator("script, iframe, object, [onerror]").count() == 0
    assert page.locator("img").count() == 3
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.click("text=Findings")
    assert seen == []


def test_the_policy_of_the_page_refuses_what_would_slip_through(
    visit: Callable[..., tuple[Any, list[str]]], hostile: Callable[..., f.Facts]
) -> None:
    """As if escaping had failed: the browser itself runs no script and loads no picture from elsewhere."""
    page, seen = visit(render(hostile()))
    page.evaluate(
        """() => {
            document.body.insertAdjacentHTML('beforeend', '<img src="https://example.invalid/x.png" onerror="alert(3)">');
            const script = document.createElement('script'); script.textContent = 'alert(4)'; document.body.append(script);
        }"""
    )
    page.wait_for_timeout(200)
    assert not [what for what in seen if what.startswith(("dialog", "loaded http"))]
    assert len([what for what in seen if "Content Security Policy" in what]) >= 2


@pytest.mark.parametrize("width", [320, 375, 1280])
@pytest.mark.parametrize("kind", ["hostile", "new"])
def test_nothing_sticks_out_at_the_side(
    visit: Callable[..., tuple[Any, list[str]]], request: pytest.FixtureRequest, kind: str, width: int
) -> None:
    page, seen = visit(render(request.getfixturevalue(kind)()), width)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert seen == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_in_light_and_dark(
    visit: Callable[..., tuple[Any, list[str]]], hostile: Callable[..., f.Facts], scheme: str
) -> None:
    """WCAG 2.2 AA: 4.5 between a text and what is behind it."""
    page, _ = visit(render(hostile()), color_scheme=scheme)
    lowest = page.evaluate(CONTRAST)
    assert lowest["ratio"] >= 4.5, lowest
