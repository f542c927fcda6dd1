"""Pictures of a class in a group, which several measures tell: where they are few, lines of these measures are kept back.

How many pictures of a group bear a class is the count of a smaller group: race C, and labeled Female. An association tells it
(as n, npmi and lift do, also where k is not printed), and so do the populations of a class's false negatives and false
positives. So these lines are two tables: of a class over all groups, and of a group over all classes. Each is kept from being
subtracted as groups are (cells.py). Both at once are not solved as one system: that would be one unknown for each class and cell.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from secondlook.pipeline.core.comparison import Measure
from secondlook.pipeline.core.groups import NOT_SAID, Group
from secondlook.pipeline.report.bias.cells import shown

TIES, MISSED, IMAGINED, JUDGED = "association: ", "false negatives: ", "false positives: ", "accuracy"


@dataclass(frozen=True)
class _Classes:
    """Pictures of one population by class: `whole` by group; `lines`, of each class: its pictures by group, and `totals` in all.

    measures: names of those that tell them, by class.
    """

    whole: Mapping[Group, int]
    totals: Mapping[str, int]
    lines: Mapping[str, Mapping[Group, int]]
    measures: Mapping[str, Sequence[str]]


def kept_back(measures: Sequence[Measure], may: Mapping[str, set[Group]], min_cell: int) -> dict[str, set[Group]]:
    """By measure the groups that it must not show, of those that it `may`, as they would tell how few bear a class."""
    by_name = {one.name: one for one in measures}
    ties, judged = _ties(measures, may), _judged(by_name, may)
    found: dict[str, set[Group]] = {}
    if judged is not None:
        # Of a group that is not shown with all its classes none is.
        for name in (name for its in judged.measures.values() for name in its):
            found[name] = {one.group for one in by_name[name].groups if one.group not in judged.whole}
    families = [one for one in (ties, judged) if one is not None]
    if ties is not None and judged is not None and _same(ties, judged):
        told = {name: [*its, *judged.measures.get(name, ())] for name, its in ties.measures.items()}
        families = [dataclasses.replace(ties, measures=told)]
    for family in families:
        for name, hidden in _hidden(family, min_cell).items():
            for measure in family.measures[name]:
                found[measure] = found.get(measure, set()) | hidden
    return found


def _allowed(group: Group, may: set[Group]) -> bool:
    return Group(tuple(sorted(group.values))) in may


def _ties(measures: Sequence[Measure], may: Mapping[str, set[Group]]) -> _Classes | None:
    its = {one.name.removeprefix(TIES): one for one in measures if one.rule == "SL404" and one.name.startswith(TIES)}
    if not its:
        return None
    whole = {one.group: one.n for measure in its.values() for one in measure.groups}
    lines = {
        name: {one.group: round(one.k) for one in measure.groups if _allowed(one.group, may[measure.name])}
        for name, measure in its.items()
    }
    totals = {name: round(measure.k) for name, measure in its.items()}
    return _Classes(whole, totals, lines, {name: [measure.name] for name, measure in its.items()})


def _judged(by_name: Mapping[str, Measure], may: Mapping[str, set[Group]]) -> _Classes | None:
    """Classes of the pictures that a model judged, as the populations of its errors tell them beside that of its accuracy."""
    every = by_name.get(JUDGED)
    if every is None:
        return None
    whole = {one.group: one.n for one in every.groups if _allowed(one.group, may[every.name])}
    totals: dict[str, int] = {}
    lines: dict[str, dict[Group, int]] = {}
    names: dict[str, list[str]] = {}
    for measure in by_name.values():
        begins = next((one for one in (MISSED, IMAGINED) if measure.name.startswith(one)), None)
        if begins is None:
            continue
        name, rest = measure.name.removeprefix(begins), begins == IMAGINED
        totals[name] = every.n - measure.n if rest else measure.n
        names.setdefault(name, []).append(measure.name)
        for one in measure.groups:
            if one.group in whole and _allowed(one.group, may[measure.name]):
                n = whole[one.group] - one.n if rest else one.n
                lines.setdefault(name, {})[one.group] = n
    return _Classes(whole, totals, {name: lines.get(name, {}) for name in names}, names) if names else None


def _same(ties: _Classes, judged: _Classes) -> bool:
    """Whether all that is labeled was judged: then both tell the same numbers."""
    return all(
        ties.totals.get(name) == judged.totals[name]
        and all(ties.lines[name].get(group, n) == n for group, n in judged.lines[name].items())
        for name in judged.measures
    )


def _hidden(family: _Classes, min_cell: int) -> dict[str, set[Group]]:
    """By class the groups that are kept back: those of few, and what would tell of these along the class or the group."""
    secret = {
        name: {group for group, k in its.items() if _few(group, k, family.whole[group], min_cell)}
        for name, its in family.lines.items()
    }
    hidden: dict[str, set[Group]] = {name: set() for name in family.lines}
    stale = set(family.lines)
    while stale:
        for name in stale:
            its = family.lines[name]
            hidden[name] = {*its} - shown(its, family.totals[name], min_cell, secret[name])
        stale = set()
        for group in {one for its in hidden.values() for one in its}:
            for name in _beside(family, hidden, group, min_cell):
                secret[name].add(group)
                hidden[name].add(group)
                stale.add(name)
    return hidden


def _few(group: Group, k: int, n: int, min_cell: int) -> bool:
    """Whether few of a group bear a class, or few do not; who did not say something is nobody to be pointed at."""
    return any(0 < one < min_cell for one in (k, n - k)) and {value for _, value in group.values} != {NOT_SAID}


def _beside(family: _Classes, hidden: Mapping[str, set[Group]], group: Group, min_cell: int) -> list[str]:
    """Classes that go as well, since all but one number of a group's classes would be shown, or all but a few pictures."""
    its = {name: lines[group] for name, lines in family.lines.items() if lines.get(group)}
    left = [k for name, k in its.items() if group in hidden[name]]
    others = family.whole[group] - sum(its.values())
    left += [others] if others else []
    going = []
    for name in sorted((one for one in its if group not in hidden[one]), key=lambda one: (its[one], one)):
        if not left or (len(left) > 1 and sum(left) >= min_cell):
            break
        going.append(name)
        left.append(its[name])
    return going
