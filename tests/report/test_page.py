"""The page: everything in it, nothing out of it, and plain words where something is missing."""

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.pipeline.core.statistics import share
from secondlook.pipeline.report import facts as f
from secondlook.pipeline.report.page import clean, interval, percent, render

from .conftest import EVIL, bare

Make = Callable[..., f.Facts]

# What this page is made of. Anything else would come from data.
TAGS = {
    *("html", "head", "meta", "title", "link", "style", "body", "a", "div", "nav", "p", "svg", "circle", "rect", "ul"),
    *("li", "main", "header", "span", "h1", "h2", "h3", "em", "dl", "dt", "dd", "section", "ol", "code", "table"),
    *("caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "article", "figure", "figcaption", "img"),
    *("s", "ins", "b", "strong", "bdi", "wbr"),
}
VOID = {"meta", "link", "img", "wbr", "rect", "circle"}


class Page(HTMLParser):
    """A page's elements, ids, links and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def test_every_hostile_text_is_text_and_the_page_is_made_of_our_elements_only(hostile: Make) -> None:
    page = Page(render(hostile()))
    assert {tag for tag, _ in page.tags} <= TAGS
    assert not page.open
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
    assert page.text.count(EVIL) >= 15
    assert "\x00" not in page.text
    assert "\x1b" not in page.text


def test_nothing_is_loaded_and_nothing_may_run(hostile: Make) -> None:
    page = Page(render(hostile()))
    sources = [a[name] or "" for _, a in page.tags for name in ("src", "href") if name in a]
    assert sources
    assert all(source.startswith(("data:image/", "#")) for source in sources)
    policy = next(a["content"] or "" for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert "script" not in policy
    assert "url(" not in render(hostile())
    assert "@import" not in render(hostile())


def test_links_lead_somewhere_and_ids_are_unique(hostile: Make) -> None:
    page = Page(render(hostile()))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = {(a["href"] or "")[1:] for tag, a in page.tags if tag == "a"}
    assert links <= set(ids)
    assert {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a} <= set(ids)


def test_pictures_have_words_and_tables_have_captions(hostile: Make) -> None:
    page = Page(render(hostile()))
    pictures = [a for tag, a in page.tags if tag == "img"]
    assert len(pictures) == 3
    assert all(picture["alt"] for picture in pictures)
    tables = sum(tag == "table" for tag, _ in page.tags)
    assert tables == sum(tag == "caption" for tag, _ in page.tags)
    assert [tag for tag, _ in page.tags if tag == "h1"] == ["h1"]
    assert all("aria-hidden" in a or a.get("aria-label") for tag, a in page.tags if tag == "svg")


def test_what_it_says_of_a_dataset_with_everything(hostile: Make) -> None:
    text = Page(render(hostile())).text
    for said in (
        "900 of 1,000 pictures bear a label. 29 of those labels look wrong.",
        "1,003 files found: 1,000 read as pictures, 3 rejected.",
        "Labels changed since then (7 doubted labels among them, left out here)",
        "28 more are not shown here.",
        "mislabel_margin = 0.1",
        "agrees with the given labels 94.4 % 92.8–95.8 %, n = 900",
        "0.0123",
        "chance alone gives up to 0.02",
        "mean = [0.4914, 0.4822, 0.4465]",
        "360 labeled pictures without this attribute. 2 rarer values not listed.",
        "People changed 9 labels.",
        "and 4 more",
        "can’t be shown",
    ):
        assert said in text


def test_a_lake_that_was_only_ingested_says_what_would_add_each_section(new: Make) -> None:
    text = Page(render(new())).text
    assert "5 pictures, and none of them has a label yet." in text
    for command in ("secondlook ingest SOURCE --labels labels.csv", "secondlook lint", "secondlook train"):
        assert command in text


@pytest.mark.parametrize("missing", ["findings", "share", "model", "pictures"])
def test_any_stage_may_be_missing(hostile: Make, missing: str) -> None:
    assert "</html>" in render(hostile(**{missing: None}))


def test_a_lake_without_a_single_readable_picture_has_a_page(new: Make) -> None:
    facts = new(
        counts=f.Counts(1, 0, 0, 0, 0, 1),
        rejects=f.Rejects({"empty": 1}, {"empty": "no bytes"}, (f.Reject("a.png", "empty", ""),)),
    )
    assert "Nothing could be read yet." in Page(render(facts)).text


def test_clean_findings_are_said_so(hostile: Make) -> None:
    assert "found nothing" in Page(render(hostile(findings=f.Findings(3, False, 0, ())))).text


def test_the_share_of_wrong_labels_says_what_it_is(hostile: Make) -> None:
    whole = " ".join(Page(render(hostile())).texts)
    for words in (
        "share of wrong labels",
        "8.1–10.2 %",
        "of 900 labels, version 3",
        "480 adjudicated",
        "7.5 % to 9.7 % are left",
    ):
        assert words in whole
    assert "no truth" not in whole
    known = hostile().share
    assert known is not None
    one = dataclasses.replace(known, called="share that one more person disputes")
    assert "One person’s answer is no truth" in " ".join(Page(render(hostile(share=one))).texts)
    model = f.ShareFacts("the model's estimate", 0.051, "", "p_error is a score.")
    told = " ".join(Page(render(hostile(share=model))).texts)
    assert "it has no interval" in told
    assert "5.1 %" in told
    assert told.count("95 % interval") < whole.count("95 % interval")


def test_many_classes_are_drawn_in_part_and_listed_in_full(hostile: Make) -> None:
    classes = tuple(f.ClassCount(f"class {n}", n, 0) for n in range(100))
    text = Page(render(hostile(classes=classes))).text
    assert "The 30 largest classes" in text
    assert "All 100 classes" in text
    assert "class 7 " in text
    many = tuple(f.ClassCount(f"class {n}", 1, None) for n in range(20_000))
    page = render(hostile(classes=many))
    assert "The first 2,000 of 20,000 classes" in page
    assert len(page) < 1_000_000


def test_more_classes_than_a_matrix_can_show_become_a_list_of_confusions(hostile: Make) -> None:
    facts = hostile()
    assert facts.model is not None
    names = tuple(f"kind {n}" for n in range(40))
    confusion = f.Confusion(names, {(n, n): 10 for n in range(40)} | {(3, 5): 4, (7, 2): 9})
    page = Page(render(hostile(model=dataclasses.replace(facts.model, confusion=confusion))))
    assert not [a for tag, a in page.tags if tag == "table" and (a.get("class") or "").startswith("heat")]
    assert page.text.index("kind 7 kind 2 9") < page.text.index("kind 3 kind 5 4")


def test_the_same_facts_give_the_same_page(hostile: Make) -> None:
    assert render(hostile()) == render(hostile())


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=80))
def test_any_text_in_a_name_leaves_the_elements_as_they_are(text: str) -> None:
    def named(name: str) -> list[str]:
        classes = (f.ClassCount(name, 3, None),)
        return [tag for tag, _ in Page(render(dataclasses.replace(bare(), title=name, classes=classes))).tags]

    assert named(text) == named("cat")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0004, "< 0.1 %"), (0.0421, "4.2 %"), (0.5, "50 %"), (0.951, "95.1 %"), (0.99999, "> 99.9 %"), (1, "100 %")],
)
def test_percent_shows_the_digits_that_help(value: float, shown: str) -> None:
    assert percent(value) == shown


def test_an_interval_carries_its_n() -> None:
    assert interval(share(81, 263)) == "25.5–36.6 %, n = 263"


def test_long_names_are_cut_and_keep_their_end() -> None:
    cut = clean("a" * 300 + "/picture.png", 48)
    assert len(cut) == 48
    assert cut.endswith("/picture.png")


def test_what_a_person_would_score_stands_beside_the_model(hostile: Callable[..., f.Facts]) -> None:
    facts = hostile()
    told = " ".join(Page(render(facts)).texts)
    assert "one person’s answer is wrong, by supplied gold 6.1 %" in " ".join(told.split())
    assert "0.8 to 2.5" in told
    assert "Right on pictures whose label three people, or an expert, agreed on" in told
    without = " ".join(Page(render(hostile(human=None))).texts)
    assert "And a person" not in without
    assert "And a person" in " ".join(Page(render(hostile(model=None))).texts), "people may come before any model"
