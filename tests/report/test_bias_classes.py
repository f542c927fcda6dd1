"""How few pictures of a group bear a class can't be had from what the report by groups shows, and no more is kept back than that."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from secondlook.pipeline.core.comparison import Changed, Estimate, GroupAudit, Measure
from secondlook.pipeline.core.groups import NOT_SAID, Group
from secondlook.pipeline.core.statistics import Interval
from secondlook.pipeline.report.bias.figures import figures
from secondlook.pipeline.report.bias.page import render
from secondlook.pipeline.report.bias.shareable import shareable
from secondlook.pipeline.report.bias.view import view

from . import made_audit as made
from .test_bias_cells import solve
from .test_page import Page

LEAST = 6


def audited(columns: made.Columns, *, judged: bool = False, least: int = LEAST) -> GroupAudit:
    """How the classes of column c go with groups of the others; judged: and the errors of a model that judged all pictures."""
    others = {name: its for name, its in columns.items() if name != "c"}
    groups, label = made.members(others, len(others)), columns["c"]
    measures: list[Measure] = []
    right = np.ones(len(label), bool)
    measures.append(made.measure("SL403", "accuracy", "right", "is right", right, groups, min_cell=least))
    for name in sorted({*label.tolist()}):
        tie = ("SL404", f"association: {name}", name, "is it", label == name, groups, "either", "npmi")
        measures.append(made.measure(*tie, min_cell=least))  # type: ignore[arg-type]
        for begins, mine in (("false negatives", label == name), ("false positives", label != name)):
            if judged and mine.any() and not mine.all():
                within = {group: its[mine] for group, its in groups.items()}
                its = made.measure("SL403", f"{begins}: {name}", name, "is wrong", ~right[mine], within, min_cell=least)
                measures.append(its)
    return made.audit(others, measures, min_cell=least, depth=len(others))


def told_of(audit: GroupAudit) -> tuple[set[Group], int]:
    """All groups, and groups of a class, whose numbers a reader of the shareable audit knows; how many lines were kept back."""
    kept = shareable(audit)
    known = {Group(((one.name, value),)) for one in kept.audit.attributes for value in one.counts}
    wholes = ("accuracy", "association")
    known |= {one.group for its in kept.audit.measures if its.name.startswith(wholes) for one in its.groups}
    ties = [its.name.removeprefix("association: ") for its in audit.of("SL404")]
    for measure in kept.audit.measures:
        kind, _, name = measure.name.partition(": ")
        for one in measure.groups:
            told = [name] if name and (kind != "false positives" or one.group in known) else []
            told += [other for other in ties if other != name] if kind == "false positives" and len(ties) == 2 else []
            known |= {Group((*one.group.values, ("c", which))) for which in told}
    return known, kept.beside


def counted(columns: made.Columns) -> dict[Group, int]:
    """Pictures of every group, and of every class in it."""
    return {group: int(its.sum()) for group, its in made.members(columns, len(columns)).items()}


@st.composite
def crowds(draw: st.DrawFn) -> made.Columns:
    n, seed, classes = draw(st.integers(40, 220)), draw(st.integers(0, 2**32 - 1)), draw(st.integers(2, 4))
    rng = np.random.default_rng(seed)
    names = ["a", "b"][: draw(st.integers(1, 2))]
    columns = {name: rng.choice(["x", "y", "z", NOT_SAID][: rng.integers(2, 5)], n, p=None) for name in names}
    weights = rng.dirichlet(np.ones(classes))
    return columns | {"c": rng.choice([f"c{at}" for at in range(classes)], n, p=weights)}


@settings(max_examples=40)
@given(crowds(), st.booleans())
def test_no_small_number_of_a_class_can_be_told_from_what_is_shown(columns: made.Columns, judged: bool) -> None:
    assume(len({*columns["c"].tolist()}) > 1)
    counts = counted(columns)
    known, _ = told_of(audited(columns, judged=judged))
    known |= {group for group in counts if group.attributes == ("c",)}  # how many bear a class is told
    mine = {name: its for name, its in columns.items() if name != "c"}
    values = [sorted({*its.tolist()}) for its in columns.values()]
    if list(columns) == ["a", "c"]:  # `solve` calls its attributes a, b, c
        values.insert(1, ["only"])
    for group, n in counts.items():
        unsaid = {value for name, value in group.values if name in mine} == {NOT_SAID}
        if n >= LEAST or "c" not in group.attributes or group.depth == 1 or unsaid:
            continue
        known_counts = counts | {one: 0 for one in known if one not in counts}
        low, high = solve(known_counts, known, len(columns["c"]), values, group)
        assert high - low > 0.5, f"{group.name} has {n}: a reader knows"


def column(**counts: Sequence[int]) -> made.Columns:
    """Pictures of attribute a by class: x=(30, 5) are 30 of class c0 and 5 of c1."""
    rows = [(value, f"c{at}", n) for value, its in counts.items() for at, n in enumerate(its)]
    a, c = (np.repeat([row[place] for row in rows], [row[2] for row in rows]) for place in (0, 1))
    return {"a": a, "c": c}


def lines(audit: GroupAudit, name: str) -> set[str]:
    (measure,) = [one for one in shareable(audit).audit.measures if one.name == name]
    return {one.group.values[0][1] for one in measure.groups}


@pytest.mark.parametrize("judged", [False, True])
def test_a_few_of_a_class_take_a_class_and_a_group_with_them(judged: bool) -> None:
    audit = audited(column(x=(40, 2, 30), y=(30, 40, 50), z=(20, 25, 60)), judged=judged)
    assert lines(audit, "accuracy") == {"x", "y", "z"}
    assert lines(audit, "association: c1") == {"z"}  # y would tell x
    assert "x" not in lines(audit, "association: c2")  # with c0 it would tell c1
    assert "x" in lines(audit, "association: c0")
    if judged:
        assert "x" not in lines(audit, "false positives: c1")
        assert "x" not in lines(audit, "false negatives: c2")


def test_all_but_a_few_tell_of_a_few_and_none_of_a_class_tells_of_nobody() -> None:
    audit = audited(column(x=(40, 3), y=(30, 40), z=(0, 25)))
    assert "x" not in lines(audit, "association: c0")
    assert lines(audited(column(x=(40, 20), y=(30, 40), z=(0, 25))), "association: c0") == {"x", "y", "z"}


def test_what_is_kept_back_is_not_on_the_page_or_in_its_json() -> None:
    shown = view(made.facts(audited(column(x=(40, 2, 30), y=(30, 40, 50), z=(20, 25, 60)))))
    tie = next(one for one in figures(shown)["measures"] if one["name"] == "association: c1")
    assert [one["group"] for one in tie["groups"]] == [{"a": "z"}]
    table = Page(render(shown)).text.split("c1: all figures")[1].split("Score interval")[0].split("c2")[0]
    assert "a: z" in table
    assert "a: x" not in table


# What changed


def estimate(value: float) -> Estimate:
    return Estimate(value, Interval(value - 0.01, value + 0.01))


def share(group: Group, before: int, after: int, of: tuple[int, int]) -> Changed:
    """What became of a group's share of all pictures: nobody left, some came."""
    first, second = before / of[0], after / of[1]
    return Changed(
        "share", group, of[1], estimate(first), estimate(second), estimate(second - first), 1.0, 1.0,
        gained=after - before, lost=0, rule="SL401", worse="lower", paired=False,
    )  # fmt: skip


def grown(groups: dict[Group, tuple[int, int]], of: tuple[int, int]) -> list[Changed]:
    return [share(group, *counts, of) for group, counts in groups.items() if max(counts) >= 10]


def group(**values: str) -> Group:
    return Group(tuple(values.items()))


def test_changes_of_shares_without_a_reference_show_no_group_that_the_tables_keep_back() -> None:
    """Race C is 100 and then 115, sex f of it 92 and 107: 8 are C and m."""
    cells = {("A", "f"): 110, ("A", "m"): 115, ("C", "f"): 107, ("C", "m"): 8}
    race, sex = (np.repeat([key[at] for key in cells], [*cells.values()]) for at in (0, 1))
    columns = {"race": race, "sex": sex}
    members = made.members(columns, 2)
    audit = made.audit(columns, [made.measure("SL402", "label errors", "x", "x", race == "A", members)])
    came = np.flatnonzero((race == "C") & (sex == "f"))[:15]
    counts = {one: (int(np.delete(its, came).sum()), int(its.sum())) for one, its in members.items()}
    changes = grown(counts, (325, 340))
    kept = shareable(audit, changes)
    assert {one.group.depth for one in kept.audit.measures[0].groups} == {1}
    assert {one.group for one in kept.changes} == {group(race="A"), group(race="C"), group(sex="f"), group(sex="m")}


def test_few_at_the_earlier_version_are_not_told_by_the_others_then() -> None:
    columns = {"race": np.repeat(["A", "B", "C"], [120, 60, 40])}
    members = made.members(columns, 1)
    audit = made.audit(columns, [made.measure("SL402", "x", "x", "x", columns["race"] == "A", members)], depth=1)
    before = {group(race="A"): (110, 120), group(race="B"): (50, 60), group(race="C"): (6, 40)}
    assert {one.group for one in shareable(audit, grown(before, (166, 220))).changes} == {group(race="B")}


def test_few_of_the_same_pictures_are_not_told_by_the_others_of_them() -> None:
    """Of race C 6 are at both versions, which nothing says but all who are of one sex less those of other races."""
    columns = {"race": np.repeat(["A", "B", "C"], [120, 60, 40]), "sex": np.tile(["f", "m"], 110)}
    members = made.members(columns, 1)
    audit = made.audit(columns, [made.measure("SL402", "x", "x", "x", columns["race"] == "A", members)], depth=1)
    both = {group(race="A"): 100, group(race="B"): 50, group(sex="f"): 78, group(sex="m"): 78}
    plain = share(group(race="A"), 100, 100, (200, 200))
    changes = [
        dataclasses.replace(plain, measure="x", group=one, n=n, paired=True, rule="SL402") for one, n in both.items()
    ]
    shown = {one.group for one in shareable(audit, changes).changes}
    assert shown == {group(race="B"), group(sex="f"), group(sex="m")}
