"""The page in a real browser, from disk: it runs nothing, asks for nothing, and fits a phone."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from secondlook.pipeline.report import facts as f
from secondlook.pipeline.report.page import render

from .conftest import EVIL

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on this machine: apt-get install --no-install-recommends chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """Open facts as a page: the page, and a list of everything that it should not have done."""
    contexts = []

    def go(facts: f.Facts, width: int = 1280, **options: Any) -> tuple[Any, list[str]]:
        file = tmp_path / "a report #1.html"
        file.write_text(render(facts), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page, seen = context.new_page(), []

        def dialog(box: Any) -> None:
            seen.append(f"dialog {box.message}")
            box.dismiss()

        def request(asked: Any) -> None:
            if not asked.url.startswith("data:") and asked.url != file.as_uri():
                seen.append(f"request {asked.url}")

        page.on(
            "requestfinished",
            lambda asked: (
                None if asked.url.startswith(("data:", file.as_uri())) else seen.append(f"loaded {asked.url}")
            ),
        )
        page.on("dialog", dialog)
        page.on("request", request)
        page.on("console", lambda message: seen.append(f"console {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error {error}"))
        page.goto(file.as_uri())
        page.wait_for_load_state("networkidle")
        return page, seen

    yield go
    for context in contexts:
        context.close()


def test_hostile_names_are_shown_as_text_and_nothing_happens(
    visit: Callable[..., tuple[Any, list[str]]], hostile: Callable[..., f.Facts]
) -> None:
    page, seen = visit(hostile())
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
    page, seen = visit(hostile())
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
    page, seen = visit(request.getfixturevalue(kind)(), width)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert seen == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_in_light_and_dark(
    visit: Callable[..., tuple[Any, list[str]]], hostile: Callable[..., f.Facts], scheme: str
) -> None:
    """WCAG 2.2 AA: 4.5 between a text and what is behind it."""
    page, _ = visit(hostile(), color_scheme=scheme)
    lowest = page.evaluate(CONTRAST)
    assert lowest["ratio"] >= 4.5, lowest


CONTRAST = """() => {
  const parse = color => { const m = color.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3]));
  const light = c => { const f = c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                       return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
  let worst = {ratio: 99};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility()) continue;
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.unshift(parse(getComputedStyle(e).backgroundColor));
    let back = [255, 255, 255];
    for (const layer of layers) back = over(layer, back);
    const front = over(parse(getComputedStyle(element).color), back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst.ratio) worst = {ratio, text: node.data.trim().slice(0, 40), tag: element.tagName, front, back};
  }
  return worst;
}"""
