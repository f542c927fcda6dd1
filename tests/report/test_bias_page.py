"""The report by groups: the same figures on the page and in its JSON, plain words, nothing hostile, and nobody who must not be seen."""

import dataclasses
import itertools
import json
import math
import re
from typing import Any

import numpy as np
import pytest

from secondlook.pipeline.bias.explained import explained
from secondlook.pipeline.core.comparison import AuditedAttribute, Compared, Estimate, GroupAudit, Worse
from secondlook.pipeline.core.groups import NOT_SAID, Group
from secondlook.pipeline.core.statistics import Interval
from secondlook.pipeline.report.bias import summary, words
from secondlook.pipeline.report.bias.facts import BiasFacts
from secondlook.pipeline.report.bias.figures import figures
from secondlook.pipeline.report.bias.page import render
from secondlook.pipeline.report.bias.plot import lane, scale
from secondlook.pipeline.report.bias.shareable import shareable
from secondlook.pipeline.report.bias.view import view
from tests.docs.test_words import PROMISES

from . import made_audit as made
from .conftest import BREAKOUT, EVIL, PIXEL, picture
from .test_page import TAGS, Page

MORE_TAGS = {"line", "path", "rect", "h4"}


@pytest.fixture(scope="module")
def planted() -> GroupAudit:
    return made.planted(3000)


def told(facts: BiasFacts) -> tuple[Page, dict[str, Any]]:
    """The page, and its JSON as a reader of it gets it."""
    shown = view(facts)
    return Page(render(shown)), json.loads(json.dumps(figures(shown), allow_nan=False))


def found(audit: GroupAudit) -> dict[str, frozenset[Group]]:
    """What lint would call findings."""
    return {
        one.name: frozenset(its.group for its in audit.found(one) if its.group not in explained(audit.found(one)))
        for one in audit.measures
    }


def compared(name: str, effect: float, n: int = 200, adjusted: float = 1.0, attribute: str = "site") -> Compared:
    """One group by hand: 50 % plus `effect`, and the others 50 %."""
    share = Estimate(0.5 + effect, Interval(0.45 + effect, 0.55 + effect))
    rest = Estimate(0.5, Interval(0.48, 0.52))
    difference = Estimate(effect, Interval(effect - 0.05, effect + 0.05))
    return Compared(Group(((attribute, name),)), n, share.value * n, share, rest, difference, adjusted, adjusted, 0.07)


def by_hand(*groups: Compared, worse: Worse = "lower", rule: str = "SL403", **changes: Any) -> GroupAudit:
    """An audit of one measure."""
    n = sum(one.n for one in groups)
    rng = np.random.default_rng(0)
    site = np.repeat([one.group.values[0][1] for one in groups], [one.n for one in groups])
    plain = made.measure(
        rule, "accuracy", "The model agrees with the label", "is called what it is labeled", rng.random(n) < 0.5, {}
    )
    measure = dataclasses.replace(plain, groups=groups, worse=worse)
    audit = made.audit({groups[0].group.values[0][0]: site}, [], depth=1, tests=len(groups))
    return dataclasses.replace(audit, measures=[measure], **changes)


# Figures


def test_the_page_and_its_json_have_the_same_figures(planted: GroupAudit) -> None:
    shown = view(made.facts(planted, changes=made.changed(planted), since=5))
    html, data = render(shown), figures(shown)
    assert sum(len(measure["groups"]) for measure in data["measures"]) > 200
    for measure in data["measures"]:
        table = html.split(f'aria-label="Figures of {measure["title"]}"')[1].split("</table>")[0]
        rows = {
            row.split("<bdi>")[1].split("</bdi>")[0]: row
            for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
            if "<bdi>" in row
        }
        assert len(rows) == len(measure["groups"])
        for one in measure["groups"]:
            row = rows[", ".join(f"{name}: {value}" for name, value in one["group"].items())]
            counted = round(one["k"]) if measure["rule"] == "SL401" else one["n"]
            assert f">{counted:,}<" in row
            for name in ("raw", "against"):
                assert words.amount(one[name]["value"], measure["unit"]) in row.replace("&lt;", "<")
            assert words.reach(Interval(*one["raw"]["interval"]), measure["unit"]) in row
            assert words.bare(one["effect"]["value"], measure["unit"]) in row
            assert words.apart(Interval(*one["effect"]["interval"]), measure["unit"]) in row
            assert f">{words.chance(one['adjusted']).replace('<', '&lt;')}<" in row
            gap = "none" if one["smallest_gap"] is None else f"{one['smallest_gap'] * 100:.1f}"
            assert f">{gap}<" in row
            assert ("◆" in row) == one["finding"]
    text = Page(html).text
    for change in data["changes"]:
        assert words.apart(Interval(*change["difference"]["interval"]), "share") in text
    assert all(sentence in text for sentence in data["summary"])


def test_what_is_not_a_number_is_null_and_a_dash(planted: GroupAudit) -> None:
    nothing = Estimate(math.nan, Interval(math.nan, math.nan))
    one = dataclasses.replace(compared("harbour", 0.0), raw=nothing, effect=nothing, smallest_gap=math.nan)
    page, data = told(made.facts(by_hand(one, compared("hill", 0.1))))
    first = data["measures"][0]["groups"][0]
    assert first["raw"]["value"] is None
    assert first["smallest_gap"] is None
    assert "nan" not in re.findall(r"\w+", page.text)


def test_findings_are_those_that_lint_has_and_crossed_ones_that_say_no_more_are_told_apart(planted: GroupAudit) -> None:
    page, data = told(made.facts(planted, found=found(planted)))
    assert len(data["findings"]) == sum(len(its) for its in found(planted).values())
    assert len(data["findings"]) < sum(len(planted.found(one)) for one in planted.measures)
    assert page.text.count("◆") < page.text.count("◇") + 60
    assert "beyond chance, no more than its attributes one by one" in page.text


# Words


def test_five_sentences_say_whom_it_was_measured_on_and_what_cannot_be_said(planted: GroupAudit) -> None:
    _, data = told(made.facts(planted, found=found(planted)))
    audited, worst, quiet, unknown, then = data["summary"]
    assert "3,000 pictures" in audited
    assert "comparisons" in audited
    assert "generalist-6" in audited
    assert re.search(r"one of \S*light: lamp\S* is called what it is labeled in [\d.]+ % of cases \(.*n = ", worst)
    assert "adjusted p < 0.001" in worst
    assert "with 80 % power a gap of" in quiet
    assert "(not said)" not in unknown
    assert re.search(r"\d+ pictures without \S*hand", unknown)
    assert "SL404" in unknown
    assert then.startswith("First ")
    assert all(sentence.endswith(".") and sentence.count(". ") == 0 for sentence in data["summary"])


def test_the_worst_is_the_largest_difference_that_is_sure_and_a_wide_interval_does_not_win() -> None:
    wide = compared("island", -0.2, 20, 0.01)
    wide = dataclasses.replace(wide, effect=Estimate(-0.2, Interval(-0.39, -0.01)))
    audit = by_hand(wide, compared("harbour", -0.15, 500, 0.001), compared("hill", 0.0, 500))
    shown = view(made.facts(audit))
    assert "harbour" in shown.lead[1]
    assert "15.0 points less" in shown.lead[1]
    assert [name for name, _, _ in shown.glance.rows] == ["site: harbour", "site: island"]


def many_measures(*measures: tuple[str, str, list[Compared]]) -> GroupAudit:
    """An audit of measures (rule, name, groups), of two attributes."""
    plain = by_hand(measures[0][2][0])
    made_of = [
        dataclasses.replace(plain.measures[0], rule=rule, name=name, groups=its, n=its[0].n + its[1].n)
        for rule, name, its in measures
    ]
    counts = {
        attribute: {
            one.group.values[0][1]: one.n
            for _, _, its in measures
            for one in its
            if one.group.attributes == (attribute,)
        }
        for attribute in ("site", "light")
    }
    attributes = [AuditedAttribute(name, its) for name, its in counts.items()]
    return dataclasses.replace(plain, attributes=attributes, samples=1000, measures=made_of, depth=2, tests=9)


def crossed_group(site: str, light: str, effect: float, n: int = 40) -> Compared:
    one = compared(site, effect, n, 0.001)
    return dataclasses.replace(one, group=Group((("light", light), ("site", site))))


def test_the_worst_and_what_is_next_are_of_the_same_group_one_of_one_attribute_first() -> None:
    alone = [compared("harbour", -0.12, 500, 0.001), compared("hill", 0.0, 500)]
    lights = [compared("lamp", -0.11, 500, 0.001, "light"), compared("day", 0.0, 500, attribute="light")]
    deep = crossed_group("hill", "lamp", -0.16)
    missed = compared("hill", -0.3, 300, 0.001)
    audit = many_measures(
        ("SL403", "false negatives: cat", [missed, compared("harbour", 0.0, 300)]),
        ("SL403", "accuracy", [*alone, *lights, deep]),
    )
    every = {one.name: frozenset(its.group for its in audit.found(one)) for one in audit.measures}
    shown = view(made.facts(audit, found=every))
    names = [next(iter(one.group.values))[1] for _, one in summary.findings(shown.shown)]
    assert names == ["harbour", "lamp", "lamp", "hill"]
    (_, worst), (_, then) = shown.five[1], shown.five[4]
    assert "site: harbour" in worst
    assert re.match("First look at the labels of \\W*site: harbour", then)

    far = dataclasses.replace(audit.measures[1], groups=[*alone, *lights, crossed_group("hill", "lamp", -0.4)])
    again = dataclasses.replace(audit, measures=[audit.measures[0], far])
    shown = view(made.facts(again, found=every))
    (_, worst), (_, then) = shown.five[1], shown.five[4]
    assert "light: lamp, site: hill" in worst
    assert re.match("First look at the labels of \\W*light: lamp, site: hill", then)


def test_of_a_class_that_goes_with_groups_it_is_said_how_many_bear_it() -> None:
    audit = by_hand(compared("harbour", 0.0), compared("hill", 0.0), rule="SL404", worse="either")
    (one,) = audit.measures
    half = Estimate(0.478, Interval(0.46, 0.5))
    tie = dataclasses.replace(one, name="association: Female", unit="npmi", overall=half)
    page, _ = told(made.facts(dataclasses.replace(audit, measures=[tie])))
    text = re.sub("[\u2068\u2069]", "", page.text)
    assert "47.8 % of all are Female" in text
    assert "all together" not in text


def test_with_nothing_compared_nothing_is_said_and_why() -> None:
    shown = view(nothing())
    assert shown.five[2][1] == (
        "Nothing was compared, so nothing can be said: \u2068the pictures have no attributes\u2069."
    )
    assert "Nothing presses" not in Page(render(shown)).text


def test_no_finding_is_said_with_what_could_have_been_seen() -> None:
    page, data = told(made.facts(by_hand(compared("harbour", 0.01), compared("hill", -0.01))))
    assert (
        "No group differs from the others by 2.0 points or more beyond what 2 comparisons show by chance"
        in data["summary"][1]
    )
    assert "a gap of 7.0 points" in data["summary"][2]
    assert "That is no proof that they are alike" in page.text
    assert data["findings"] == []
    assert "Nothing presses" in page.text


def test_nothing_on_the_page_promises_what_cannot_be_measured(planted: GroupAudit) -> None:
    page, _ = told(made.facts(planted))
    assert not PROMISES.search(page.text)
    assert not re.search(r"\b(proves|proven|guarantees)\b", page.text)


def test_an_estimated_attribute_is_marked_wherever_it_is_named(planted: GroupAudit) -> None:
    attributes = [dataclasses.replace(one, estimated=one.name == "light") for one in planted.attributes]
    page, data = told(made.facts(dataclasses.replace(planted, attributes=attributes)))
    assert not re.search(r"\blight: (lamp|dusk|day)", page.text)
    assert page.text.count("light (estimated): lamp") > 20
    assert "estimated by a model" in page.text
    assert "light (estimated by a model)" in data["summary"][0]


@pytest.mark.parametrize(
    ("rule", "told_as"),
    [
        ("SL402", "doubted more often"),
        ("SL403", "right less often"),
        ("SL406", "Who is never asked for"),
    ],
)
def test_what_to_do_names_the_group_and_the_command(rule: str, told_as: str) -> None:
    audit = by_hand(compared("harbour", -0.3, adjusted=0.001), compared("hill", 0.0, 900), rule=rule)
    remedies = {(rule, Group((("site", "harbour"),))): ["secondlook review push --group site=harbour"]}
    page, data = told(made.facts(audit, remedies=remedies))
    assert told_as in page.text
    assert page.text.count("secondlook review push --group site=harbour") == 2
    assert data["findings"][0]["remedies"] == ["secondlook review push --group site=harbour"]


def test_what_changed_says_for_whom_and_only_where_it_is_sure(planted: GroupAudit) -> None:
    page, data = told(made.facts(planted, since=5, changes=made.changed(planted)))
    kinds = {next(iter(one["group"].values())): one["helped"] for one in data["changes"]}
    assert kinds["lamp"] is True
    assert kinds["harbour"] is False
    assert kinds["day"] is None
    assert "better" in page.text
    assert "Not held against" not in page.text
    assert "secondlook report --bias --since VERSION" in told(made.facts(planted))[0].text


# Who is not shown


def test_no_small_group_is_on_the_page_or_in_the_json(planted: GroupAudit) -> None:
    rng = np.random.default_rng(8)
    columns = made.columns(
        400, rng, site={"harbour": 0.6, "hill": 0.38, "hermitage": 0.02}, light={"day": 0.9, "lamp": 0.1}
    )
    groups = made.members(columns, 2)
    assert 0 < groups[Group((("site", "hermitage"),))].sum() < 10
    hit = np.asarray(rng.random(400) < 0.3)
    measures = [made.measure("SL402", "label errors", "Labels that are doubted", "is doubted", hit, groups)]
    shown = view(made.facts(made.audit(columns, measures), title="signs"))
    html, data = render(shown), json.dumps(figures(shown))
    assert "hermitage" not in html + data
    assert "harbour" not in html + data  # it would tell: 400 less hill and harbour
    assert "hill" in html
    assert json.loads(data)["not_shown"]["groups"] == {"light": 0, "site": 2}
    assert shown.shown.beside > 0


def test_two_measures_of_the_same_pictures_show_the_same_groups(planted: GroupAudit) -> None:
    rng = np.random.default_rng(9)
    columns = made.columns(900, rng)
    groups = made.members(columns, 2)
    measures = [
        made.measure("SL402", name, name, "is it", np.asarray(rng.random(900) < share), groups)
        for name, share in (("one", 0.1), ("two", 0.5))
    ]
    kept = shareable(made.audit(columns, measures)).audit.measures
    assert {one.group for one in kept[0].groups} == {one.group for one in kept[1].groups}
    assert len(kept[0].groups) < len(measures[0].groups)


def test_shares_do_not_tell_how_many_said_nothing() -> None:
    """SL401's n are the pictures that say the attribute: beside the total it would tell who did not, and so who is few."""
    columns = {"site": np.repeat(["harbour", "hill", "hermitage", NOT_SAID], [300, 200, 3, 4])}
    groups = {group: mine for group, mine in made.members(columns, 1).items() if group.values[0][1] != NOT_SAID}
    audit = made.audit(columns, [made.shares(groups, dict.fromkeys(groups, 1 / 3))], depth=1)
    kept = shareable(audit)
    assert kept.audit.attributes[0].counts == {"hill": 200}
    assert kept.audit.attributes[0].missing == 0
    assert kept.audit.measures[0].groups == []


def test_annotators_are_not_named_unless_pictures_are_shown_too(planted: GroupAudit) -> None:
    shown = view(made.facts(planted))
    assert "ann@example.org" not in render(shown) + json.dumps(figures(shown))
    assert "person 1 answers otherwise than the others" in render(shown)
    named = render(view(made.facts(planted, with_images=True)))
    assert "ann@example.org answers otherwise" in named
    assert "It is not for sharing." in Page(named).text


def test_pictures_only_on_demand_and_without_their_names(planted: GroupAudit) -> None:
    which = ("accuracy", Group((("light", "lamp"),)))
    pictures = {which: [picture("secret/place.png", "six"), picture("x.png", src="")]}
    without, _ = told(made.facts(planted, pictures=pictures))
    assert not [tag for tag, _ in without.tags if tag == "img"]
    with_them, data = told(made.facts(planted, pictures=pictures, with_images=True))
    shown = [attributes for tag, attributes in with_them.tags if tag == "img"]
    assert [one["src"] for one in shown] == [PIXEL]
    assert shown[0]["alt"] == "A picture of light: lamp, labeled six"
    assert "secret" not in json.dumps(data) + with_them.text


# Any data


def hostile() -> BiasFacts:
    rng = np.random.default_rng(4)
    names = [EVIL, BREAKOUT, "ا" * 40 + "\u202eevil", "👩🏽‍🦱" * 30, "x" * 10_000]
    columns = made.columns(800, rng, **{EVIL: dict.fromkeys(names, 0.2), "y" * 10_000: {"a\nb": 0.5, "\x00": 0.5}})
    groups = made.members(columns, 2)
    hit = columns[EVIL] == EVIL
    measures = [
        made.measure("SL403", f"false negatives: {EVIL}", f"{BREAKOUT} missed", f"is called {EVIL}", hit, groups),
        made.measure("SL402", "label errors", "Labels that are doubted", "is doubted", ~hit, groups),
    ]
    audit = made.audit(columns, measures, notes={"SL404": EVIL})
    attributes = [dataclasses.replace(one, described=BREAKOUT) for one in audit.attributes]
    remedies = {
        (one.rule, its.group): [f"secondlook review push --group {EVIL!r}"] for one in measures for its in one.groups
    }
    return made.facts(
        dataclasses.replace(audit, attributes=attributes),
        title=EVIL,
        model=BREAKOUT,
        remedies=remedies,
        card={EVIL: {BREAKOUT: EVIL}},
        provenance={EVIL: BREAKOUT},
        pictures={(measures[0].name, next(iter(groups))): [picture("a.png")]},
    )


def test_hostile_texts_are_texts_and_the_page_is_made_of_our_elements_only() -> None:
    html = render(view(hostile()))
    page = Page(html)
    assert {tag for tag, _ in page.tags} <= TAGS | MORE_TAGS
    assert not page.open
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.text.count(EVIL) >= 20
    assert "x" * 200 not in html
    assert "\u202e" not in "".join(view(hostile()).lead)
    assert len(html) < 600_000
    sources = [a[name] or "" for _, a in page.tags for name in ("src", "href") if name in a]
    assert all(source.startswith(("data:image/", "#")) for source in sources)


def many_groups(n: int = 300) -> BiasFacts:
    rng = np.random.default_rng(6)
    columns = made.columns(n * 40, rng, place={f"place {at:03d}": 1.0 for at in range(n)})
    groups = made.members(columns, 1)
    hit = np.asarray(rng.random(n * 40) < np.where(columns["place"] == "place 007", 0.6, 0.1))
    measures = [made.measure("SL402", "label errors", "Labels that are doubted", "is doubted", hit, groups)]
    return made.facts(made.audit(columns, measures, depth=1))


def test_of_three_hundred_groups_the_worst_are_drawn_and_the_json_has_all() -> None:
    page, data = told(many_groups())
    assert len(data["measures"][0]["groups"]) == 300
    assert page.text.count("280 more groups in the table.") == 1
    assert "of the first 200 of 300 groups" in page.text
    assert "place 007 fares worst" in re.sub("[\u2068\u2069]", "", page.text).replace("place: ", "")


def nothing() -> BiasFacts:
    """A lake without attributes."""
    audit = made.audit(
        {}, [], notes=dict.fromkeys([f"SL40{n}" for n in range(1, 8)], "the pictures have no attributes")
    )
    return made.facts(dataclasses.replace(audit, samples=12), model="")


def test_without_attributes_the_page_says_how_to_get_some() -> None:
    page, data = told(nothing())
    assert "secondlook ingest SOURCE --labels labels.csv" in page.text
    assert len(data["summary"]) == 5
    assert data["measures"] == []


def test_one_attribute_and_no_model_make_a_page() -> None:
    audit = by_hand(compared("harbour", 0.0), compared("hill", 0.0), rule="SL407", worse="higher")
    page, _ = told(made.facts(audit, model=""))
    assert "1 attribute" in re.sub(r"\s+", " ", page.text).replace("attribute 1", "1 attribute")
    assert "crossed" not in page.text.split("How it was measured")[0]


def test_the_same_facts_give_the_same_page(planted: GroupAudit) -> None:
    assert render(view(made.facts(planted))) == render(view(made.facts(planted)))


@pytest.mark.parametrize("facts", [hostile, nothing, many_groups])
def test_headings_are_in_order_links_lead_somewhere_and_charts_have_words(facts: Any) -> None:
    page = Page(render(view(facts())))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [a["href"] or "" for tag, a in page.tags if tag == "a"]
    assert {target.removeprefix("#") for target in targets} <= set(ids)
    assert all(a["aria-labelledby"] in ids for _, a in page.tags if "aria-labelledby" in a)
    plots = [a for _, a in page.tags if (a.get("class") or "") == "plot"]
    assert all(a["role"] == "img" and len(a["aria-label"] or "") > 30 for a in plots)
    cells = [a for tag, a in page.tags if tag == "th"]
    assert all(a.get("scope") in {"col", "row"} for a in cells)
    assert sum(tag == "caption" for tag, _ in page.tags) == sum(tag == "table" for tag, _ in page.tags)


# Lanes


def test_a_scale_holds_every_figure_and_its_marks_are_round() -> None:
    on = scale([compared("a", -0.2), compared("b", 0.31)], "share")
    assert on.low <= 0.25
    assert on.high >= 0.86
    assert 3 <= len(on.ticks) <= 7
    assert [told for _, told in on.marks()][:2] == ["20 %", "40 %"]
    assert on.place(on.low) == 0
    assert on.place(on.high) == 100
    assert scale([], "share").ticks


def test_a_finding_is_told_by_shape_and_what_harms_by_side() -> None:
    one = compared("a", 0.2)
    on = scale([one], "share")
    assert 'path class="found"' in lane(one, on, "higher", "found")
    assert 'circle class="quiet"' in lane(one, on, "higher", "quiet")
    assert "path" not in lane(one, on, "higher", "quiet").replace('path class="on', "")
    up, down = (
        re.search(r'rect class="harm" x="([\d.]+)%"', lane(one, on, way, "quiet")) for way in ("higher", "lower")
    )
    assert up is not None
    assert down is not None
    assert float(up[1]) == pytest.approx(on.place(0.5), abs=0.01)
    assert float(down[1]) == 0
    assert "harm" not in lane(one, on, "either", "quiet")


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: words.points(0.087), "8.7 points"),
        (lambda: words.points(-0.01, signed=True), "−1.0 point"),
        (lambda: words.bare(-0.00001, "share"), "0.0"),
        (lambda: words.bare(0.213, "npmi"), "+0.21"),
        (lambda: words.chance(0.0004), "< 0.001"),
        (lambda: words.chance(0.04), "0.040"),
        (lambda: words.reach(Interval(0.631, 0.722), "share"), "63.1–72.2 %"),
        (lambda: words.apart(Interval(-0.131, 0.042), "share"), "−13.1 to +4.2"),
        (lambda: words.said_p(0.0001), "adjusted p < 0.001"),
    ],
)
def test_amounts_by_hand(call: Any, expected: str) -> None:
    assert call() == expected
