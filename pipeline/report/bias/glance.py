"""All that stands out, at a glance: which group, in which part of the page, by how much."""

from collections.abc import Sequence
from dataclasses import dataclass

from secondlook.pipeline.core.comparison import Compared, GroupAudit, Measure
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.report.bias.facts import SECTIONS, Section
from secondlook.pipeline.report.bias.shareable import Shareable
from secondlook.pipeline.report.bias.summary import findings
from secondlook.pipeline.report.bias.words import bare, group_name, size

MOST_AT_A_GLANCE = 14


@dataclass(frozen=True)
class Mark:
    """A group at one section, at a glance: the difference of its most harmful finding; `compared` without one; or neither."""

    told: str = ""
    compared: bool = False
    spoken: str = ""


@dataclass(frozen=True)
class Glance:
    """All that stands out, at a glance: a row for each group that has findings."""

    sections: Sequence[Section]
    rows: Sequence[tuple[str, int, Sequence[Mark]]]
    left: int = 0


def glance(shown: Shareable) -> Glance:
    """The groups with findings, the most harmful first."""
    audit, found = shown.audit, findings(shown)
    compared = {code: {one.group for measure in audit.of(code) for one in measure.groups} for code in _codes(audit)}
    sections = [one for one in SECTIONS if any(compared.get(code) for code in one.rules)]
    by_group: dict[Group, list[tuple[Measure, Compared]]] = {}
    for measure, one in found:
        by_group.setdefault(one.group, []).append((measure, one))
    ordered = sorted(
        by_group, key=lambda group: -sum(size(one) for measure, one in by_group[group] if measure.unit != "npmi")
    )
    rows = []
    for group in ordered[:MOST_AT_A_GLANCE]:
        marks = [
            _mark(section, by_group[group], any(group in compared.get(code, ()) for code in section.rules))
            for section in sections
        ]
        rows.append((group_name(group, audit.estimated), len(by_group[group]), marks))
    return Glance(sections, rows, max(len(ordered) - MOST_AT_A_GLANCE, 0))


def _codes(audit: GroupAudit) -> list[str]:
    return list(dict.fromkeys(one.rule for one in audit.measures))


def _mark(section: Section, its: Sequence[tuple[Measure, Compared]], compared: bool) -> Mark:
    mine = [(measure, one) for measure, one in its if measure.rule in section.rules]
    if not mine:
        return Mark("", compared, "no finding" if compared else "not compared")
    measure, one = max(mine, key=lambda pair: size(pair[1]))
    more = f", {len(mine)} findings" if len(mine) > 1 else ""
    return Mark(
        bare(one.effect.value, measure.unit), True, f"{measure.title}: {bare(one.effect.value, measure.unit)}{more}"
    )
