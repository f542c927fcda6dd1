"""The labeling screen in a real browser: an annotator answers by keys and clicks, on a desktop and on a phone.

`SECONDLOOK_SCREENSHOTS=docs` keeps the pictures that the documentation shows.
"""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from secondlook.jobs.studio.send import send
from secondlook.labeling.studio import tasks
from secondlook.pipeline.core.identity import content_id

from .label_studio import LabelStudio, Person
from .sending import Waiting, train, waiting

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
EVIL = "<img src=x onerror=window.hacked=1>"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}


@pytest.fixture
def visit(browser: Any, label_studio: LabelStudio) -> Iterator[Callable[..., Any]]:
    """A person opens the labeling stream of a project: `visit(person, project, width, height)`; the page, once a task is shown."""
    contexts = []

    def go(person: Person, project: int, width: int = 1280, height: int = 800) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        context.add_cookies([{"name": n, "value": v, "url": label_studio.url} for n, v in person.cookies().items()])
        # The screen asks for fonts and helpers of other hosts; it must do without.
        context.route(lambda url: not url.startswith(label_studio.url), lambda route: route.abort())
        page = context.new_page()
        page.goto(f"{label_studio.url}/projects/{project}/data?labeling=1")
        ready(page)
        return page

    yield go
    for context in contexts:
        context.close()


def ready(page: Any) -> None:
    """Wait until a task can be answered."""
    page.wait_for_selector(".sl-button", timeout=20_000)
    page.wait_for_function(
        "[...document.querySelectorAll('.sl-picture img, .sl-class img')].every(one => one.complete && one.naturalWidth)"
    )


def choose(page: Any, key: str) -> None:
    """Press a choice's key; a key that comes before the task listens is lost, as for a person who is too quick."""
    for _ in range(40):
        page.keyboard.press(key)
        page.wait_for_timeout(150)
        if page.locator(".ant-radio-checked").count():
            return
    raise AssertionError(f"the key {key} chooses nothing")


def submit(page: Any, press: Callable[[], None] | None = None) -> None:
    """Submit, by Enter (the key that the guide gives it), and wait for the next task."""
    number = page.locator(".lsf-current-task__task-id").inner_text()
    with page.expect_response(lambda answer: "/annotations" in answer.url and answer.request.method == "POST") as said:
        press() if press else page.keyboard.press("Enter")
    assert said.value.status == 201, said.value.text()
    page.wait_for_function(
        "before => (document.querySelector('.lsf-current-task__task-id')?.innerText ?? '') !== before", arg=number
    )
    if page.locator(".lsf-current-task__task-id").count():
        ready(page)


def keep(page: Any, name: str) -> None:
    """Keep a picture of the screen for the documentation."""
    if folder := os.environ.get("SECONDLOOK_SCREENSHOTS"):
        page.wait_for_timeout(500)
        page.screenshot(path=str(Path(folder) / name))


@pytest.fixture
def digits(label_studio: LabelStudio, tmp_path: Path) -> Iterator[Waiting]:
    """Handwritten digits, and a model that is sure of all."""
    from sklearn.datasets import load_digits

    found = load_digits()
    known = []
    for n in range(60):
        gray = np.clip(255 - found.images[n] * 16, 0, 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(gray).resize((64, 64), Image.Resampling.BICUBIC).save(stream, "PNG")
        known.append((f"{n}.png", DIGITS[found.target[n]], stream.getvalue()))
    with waiting(label_studio, tmp_path / "lake", known, DIGITS) as made:
        train(made.lake, {content_id(data): label for _, label, data in known}, DIGITS)
        yield made


def said(made: Waiting, project: int) -> list[tasks.Said | tasks.Refused | None]:
    """What each task's one answer means, in the order of the tasks."""
    codes = tasks.codes(made.classes)
    results = [[one["result"] for one in task["annotations"]] for task in made.tasks(project)]
    return [tasks.read(some[0], codes) if some else None for some in results]


def test_a_key_and_enter_answer_a_task_and_the_next_one_comes(digits: Waiting, visit: Callable[..., Any]) -> None:
    digits.record("batch-keys", digits.samples[3:10], options=["three", "eight", "nine"])
    project = send(digits.lake, digits.settings, digits.studio, "batch-keys")["project"]
    page = visit(digits.server.sign_up("anna.keys@example.com"), project)
    assert page.locator(".sl-class img").count() == 6, "two reference pictures for each of three classes"
    assert page.locator(".sl-list").is_visible() is False
    for key in ("1", "3", "u", "b"):
        choose(page, key)
        submit(page)
    choose(page, "0")
    page.wait_for_selector(".sl-list .lsf-choice", state="visible")
    submit(page)
    choose(page, "0")
    page.locator(".sl-list label", has_text="seven").click()
    submit(page)
    page.locator(".sl-class", has_text="eight").click()
    submit(page, page.get_by_role("button", name="Submit").first.click)
    label = tasks.Said
    assert said(digits, project) == [
        label("label", "three"),
        label("label", "nine"),
        label("unsure"),
        label("bad picture"),
        label("none of these"),
        label("label", "seven"),
        label("label", "eight"),
    ]


@pytest.mark.parametrize("size", SIZES)
def test_all_of_it_is_seen_without_scrolling_sideways_and_can_be_touched(
    digits: Waiting, visit: Callable[..., Any], size: str
) -> None:
    width, height = SIZES[size]
    digits.record(f"batch-{size}", digits.samples[8:10], options=["three", "eight", "nine"])
    project = send(digits.lake, digits.settings, digits.studio, f"batch-{size}")["project"]
    page = visit(digits.server.sign_up(f"anna.{size}@example.com"), project, width, height)
    seen = page.locator(".sl-picture, .sl-options .lsf-choice")
    for box in [
        *(one.bounding_box() for one in seen.all()),
        page.get_by_role("button", name="Submit").first.bounding_box(),
    ]:
        assert box["x"] >= 0, box
        assert box["x"] + box["width"] <= width, box
        assert box["y"] + box["height"] <= height, box
        assert box["height"] >= 32, box
    keep(page, "review-screen.png" if size == "desktop" else "review-screen-phone.png")
    page.locator(".sl-class", has_text="nine").click()
    submit(page, page.get_by_role("button", name="Submit").first.click)
    assert said(digits, project)[0] == tasks.Said("label", "nine")


def test_a_class_may_be_called_anything(
    label_studio: LabelStudio, tmp_path: Path, picture: Callable[..., bytes], visit: Callable[..., Any]
) -> None:
    """Markup, quotes, line breaks, emoji, blanks, the tool's own words and 10,000 letters: shown as text, and they come back as they are."""
    names = [
        EVIL,
        "</Choice><Choice value='x'/>",
        "\"quoted\" & 'so'",
        "two\nlines",
        "🐈‍⬛ chat",
        " cat",
        "cat",
        "none of these",
        tasks.NONE,
        "$image",
        "a,b",
        "x" * 10_000,
        "x" * 9_999 + "y",
        "\u202egpj.exe",
        "bell\x07",
    ]
    known = [(f"{n}.png", None, picture(n)) for n in range(len(names))]
    with waiting(label_studio, tmp_path / "lake", known, names) as made:
        made.record("batch-evil", made.samples)
        project = send(made.lake, made.settings, made.studio, "batch-evil")["project"]
        page = visit(made.server.sign_up("anna.evil@example.com"), project)
        texts = page.locator(".sl-class .sl-name span:last-child").all_inner_texts()
        assert texts == tasks.shown(names)
        for n in range(len(names)):
            page.locator(".sl-class").nth(n).click()
            submit(page)
        assert page.evaluate("window.hacked") is None
        assert said(made, project) == [tasks.Said("label", name) for name in names]


def test_a_class_of_two_thousand_is_found_by_typing(
    label_studio: LabelStudio, tmp_path: Path, picture: Callable[..., bytes], visit: Callable[..., Any]
) -> None:
    names = [f"class {n:04}" for n in range(1998)] + [EVIL, "none of these"]
    with waiting(label_studio, tmp_path / "lake", [(f"{n}.png", None, picture(n)) for n in range(2)], names) as made:
        made.record("batch-many", made.samples, options=["class 0001", "class 0002"])
        project = send(made.lake, made.settings, made.studio, "batch-many")["project"]
        page = visit(made.server.sign_up("anna.many@example.com"), project)
        for typed, name in (("1742", "class 1742"), ("onerror", EVIL)):
            choose(page, "0")
            page.locator(".sl-list input").first.click()
            page.locator(".ant-select-dropdown input:visible:enabled").first.fill(typed)
            page.locator(".ant-select-tree-title", has_text=name).last.click()
            page.keyboard.press("Escape")
            submit(page, page.get_by_role("button", name="Submit").first.click)
        assert page.evaluate("window.hacked") is None
        assert said(made, project) == [tasks.Said("label", "class 1742"), tasks.Said("label", EVIL)]
