"""The labeling screen's XML, read back by a parser of its own."""

import re
from xml.dom import minidom

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling.studio import tasks
from secondlook.labeling.studio.config import BUTTONS_UP_TO, STYLE, closed, screen
from secondlook.labeling.studio.tasks import Option


def options(names: list[str]) -> list[Option]:
    return [Option(tasks.code(name), text) for name, text in zip(names, tasks.shown(names), strict=True)]


def choices(config: str) -> dict[str, str]:
    found = minidom.parseString(config).getElementsByTagName("Choice")  # noqa: S318 — our own text
    return {one.getAttribute("alias"): one.getAttribute("value") for one in found}


@given(st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True))
def test_any_class_stands_in_the_list_under_its_code(names: list[str]) -> None:
    assert choices(screen(options(names))) == {one.code: one.text for one in options(names)}


def test_markup_in_a_name_makes_no_tag() -> None:
    evil = ["</Choice><Style>*{}</Style>", '"><Text/>', "]]>", "a&b", "<!--", "👩‍👩‍👧"]
    document = minidom.parseString(screen(options(evil)))  # noqa: S318
    assert len(document.getElementsByTagName("Choice")) == len(evil)
    assert len(document.getElementsByTagName("Style")) == 1
    assert not document.getElementsByTagName("Text")


def test_the_list_opens_after_none_of_these_or_is_always_there() -> None:
    some = options(["cat", "dog"])
    after, always, never = screen(some), screen(some, few=False), screen([])
    assert f'whenChoiceValue="{tasks.NONE}"' in after
    assert "visibleWhen" not in always
    assert f'name="{tasks.LIST}"' in always
    assert tasks.LIST not in re.findall(r'name="(\w+)"', never)
    assert [text.count('required="true"') for text in (after, always, never)] == [1, 0, 1]


def test_many_classes_are_searched_few_are_pressed() -> None:
    few, many = (screen(options([f"class {n}" for n in range(size)])) for size in (BUTTONS_UP_TO, BUTTONS_UP_TO + 1))
    assert ("<Taxonomy" in few, "<Taxonomy" in many) == (False, True)


@pytest.mark.parametrize("shown", [False, True])
def test_the_guess_is_there_only_where_it_was_asked_for(shown: bool) -> None:
    assert ("$guess" in screen([], show_guess=shown)) == shown


def test_while_a_batch_is_sent_there_is_nothing_to_answer() -> None:
    assert re.findall(r"\$\w+", closed()) == ["$image"], "uploads are taken only with one variable"
    assert "Choices" not in closed()


def test_the_style_survives_the_sanitizer_of_the_tool() -> None:
    assert not set("<>&") & set(STYLE)
