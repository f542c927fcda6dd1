"""Whatever a text from data holds, as Markdown and as YAML it says itself and nothing else."""

import re
from html import unescape
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from secondlook.pipeline.report.card.markdown import front_matter, line, one_line, prose, table

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "![x](https://evil.example/p.png)",
    "# heading",
    "--- \n# broken: out",
    "- list",
    "+ list",
    "12. list",
    "7) list",
    "a | b",
    "`code` **bold** _it_ ~~no~~ $x$",
    "&lt;b&gt; &amp;",
    "two\nlines",
    "para\n\n# graph",
    "\\",
    "\\`",
    "===",
    "\u202egnp.exe",
    "\x00\x1b[2J\x85\u2028\u2029",
    "👩🏽‍🔬 naïve 日本",
    "> quote",
    "~~~",
    "```",
    "<https://evil.example>",
    '"quoted": {yaml: [1, 2]}',
    "!!python/object/apply:os.system ['true']",
    "*alias &anchor %tag @at",
]


def shown(markdown: str) -> str:
    """The text of a rendered paragraph, which must be all that there is."""
    html = READER.render(markdown).strip()
    found = re.fullmatch(r"<p>(.*)</p>", html, re.DOTALL)
    assert found, html
    assert "<" not in found[1], html
    return unescape(found[1])


@pytest.mark.parametrize("text", [one for one in HOSTILE if one_line(one)])
def test_hostile_texts_are_rendered_as_they_are(text: str) -> None:
    assert shown(line(text)) == one_line(text)


@given(st.text(max_size=60))
def test_any_text_is_rendered_as_it_is(text: str) -> None:
    if one_line(text):
        assert shown(line(text)) == re.sub(r" +", " ", one_line(text))


@given(st.text("abc <>&|`*_[]()!#-+=.1\\\n~$:/h", max_size=40))
def test_any_markup_is_rendered_as_text(text: str) -> None:
    if one_line(text):
        assert shown(line(text)) == one_line(text)


@given(st.lists(st.text("ab|\\`<\n*", max_size=12), min_size=2, max_size=3))
def test_a_row_keeps_its_cells(row: list[str]) -> None:
    html = READER.render(table(["h"] * len(row), [[line(one) for one in row]]))
    cells = re.findall(r"<td[^>]*>(.*?)</td>", html, re.DOTALL)
    assert [unescape(one) for one in cells] == [one_line(one) for one in row]


def test_prose_keeps_paragraphs_and_links_what_is_an_address() -> None:
    html = READER.render(prose("One <b>.\n\nSee https://x.example/a_b, or (https://y.example/?q=1&r=2)."))
    assert html.count("<p>") == 2
    assert 'href="https://x.example/a_b"' in html
    assert 'href="https://y.example/?q=1&amp;r=2"' in html
    assert "<b>" not in html
    assert prose(" \n ") == ""


@pytest.mark.parametrize("text", HOSTILE)
def test_no_address_is_one_that_runs(text: str) -> None:
    html = READER.render(prose(text))
    assert "javascript:" not in re.sub(r">[^<]*<", "><", html)
    assert "<script" not in html
    assert "<img" not in html


def test_what_moves_or_turns_the_text_around_it_is_gone() -> None:
    assert one_line("a\u202egnp\u2066.exe\n\n b\t\x85c\u2028d") == "agnp.exe b c d"
    assert "\x00" not in one_line("\x00\x1b[2J")
    assert len(one_line("x" * 9_999)) == 200


values = st.dictionaries(
    st.sampled_from(["license", "tags", "pretty_name"]),
    st.one_of(st.text(max_size=30), st.lists(st.text(max_size=20), min_size=1, max_size=3), st.integers()),
)


def read(markdown: str) -> Any:
    assert markdown.startswith("---\n")
    assert markdown.endswith("\n---")
    assert markdown.count("\n---") == 1  # nothing ends it early
    return yaml.safe_load(markdown.removeprefix("---\n").removesuffix("\n---"))


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(one) for one in value]
    return one_line(value) if isinstance(value, str) else value


@given(values)
def test_front_matter_is_read_as_it_was_written(front: dict[str, Any]) -> None:
    assert (read(front_matter(front)) or {}) == {name: plain(value) for name, value in front.items()}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_in_front_matter(text: str) -> None:
    assert read(front_matter({"pretty_name": text, "tags": [text]})) == {
        "pretty_name": one_line(text),
        "tags": [one_line(text)],
    }


def test_lists_of_entries_are_nested() -> None:
    configs = [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}]
    assert read(front_matter({"configs": configs})) == {"configs": configs}
