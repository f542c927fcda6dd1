"""An audit as it may be shown: without small groups, also not by subtraction, and without the names of annotators."""

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from secondlook.pipeline.core.comparison import AuditedAttribute, Changed, Compared, GroupAudit, Measure
from secondlook.pipeline.core.groups import NOT_SAID, Group
from secondlook.pipeline.report.bias.cells import shown
from secondlook.pipeline.report.bias.classes import kept_back

SHARES = "SL401"  # its groups have k pictures of n, which are all of them
PERSON = "answers: "  # how measures of single annotators begin


@dataclass(frozen=True)
class Shareable:
    """What of an audit is shown, and how much is not.

    hidden: by attribute how many of its groups; too_small: lines of measures that were never tested; beside: lines that were,
    but would tell the count of a small group; `lost` of these are findings. findings: by measure the groups that are.
    """

    audit: GroupAudit
    changes: Sequence[Changed]
    hidden: Mapping[str, int]
    too_small: int
    beside: int
    lost: int
    findings: Mapping[str, Collection[Group]]

    def found(self, measure: Measure) -> list[Compared]:
        """The groups of a measure that are findings, of those that are shown."""
        its = self.findings.get(measure.name, ())
        return [one for one in measure.groups if one.group in its]


def pictures(measure: Measure, one: Compared) -> int:
    """How many pictures a group has in a measure."""
    return round(one.k) if measure.rule == SHARES else one.n


def shareable(
    audit: GroupAudit,
    changes: Sequence[Changed] = (),
    found: Mapping[str, Collection[Group]] | None = None,
    *,
    names: bool = False,
) -> Shareable:
    """What may be shown of an audit, and of what changed. found: as in BiasFacts. names: with those of annotators."""
    said = audit if names else _without_names(audit)
    populations = _populations(said)
    alone = populations[0].may_show(audit.min_cell)
    attributes = [_attribute(one, alone) for one in audit.attributes]
    by_name = {name: one.may_show(audit.min_cell) for one in populations for name in one.measures}
    few = kept_back(said.measures, by_name, audit.min_cell)
    silent = {one.name for one, its in zip(audit.attributes, attributes, strict=True) if _gap(one, its)}
    measures = [_measure(one, by_name[one.name], few.get(one.name, ()), silent) for one in said.measures]
    pairs = list(zip(said.measures, measures, strict=True))
    hidden = {
        one.name: sum(n > 0 for n in one.counts.values()) - len(its.counts)
        for one, its in zip(audit.attributes, attributes, strict=True)
    }
    kept = dataclasses.replace(said, attributes=attributes, measures=measures)
    findings = {
        its.name: frozenset(
            found.get(one.name, ()) if found is not None else (other.group for other in audit.found(one))
        )
        for one, its in zip(audit.measures, said.measures, strict=True)
    }
    told = changes if names else [_changed_without_name(one, audit) for one in changes]
    return Shareable(
        kept,
        _changes(told, kept, few),
        hidden,
        too_small=sum(one.untested for one in measures),
        beside=sum(len(before.groups) - len(after.groups) for before, after in pairs),
        lost=sum(len(findings[before.name] - _tested(after)) for before, after in pairs),
        findings=findings,
    )


# Groups


@dataclass(frozen=True)
class _Population:
    """The same pictures, as far as figures say: `total` of them, in groups; and the measures that speak of them.

    What one measure of them shows, a reader can subtract from another: they all show the same groups.
    """

    total: int
    counts: dict[Group, int]
    measures: list[str]

    def takes(self, total: int, counts: Mapping[Group, int]) -> bool:
        """Whether figures may be of these pictures: the same number in all, and in each group that both have."""
        return total == self.total and all(self.counts.get(group, n) == n for group, n in counts.items())

    def may_show(self, min_cell: int) -> set[Group]:
        """The groups that may be shown."""
        return shown(self.counts, self.total, min_cell)


def _populations(audit: GroupAudit) -> list[_Population]:
    """The pictures that the audit speaks of, all pictures first."""
    everybody = {Group(((one.name, value),)): n for one in audit.attributes for value, n in one.counts.items() if n}
    populations = [_Population(audit.samples, everybody, [])]
    for measure in audit.measures:
        counts = {Group(tuple(sorted(one.group.values))): pictures(measure, one) for one in measure.groups}
        mine = next((one for one in populations if one.takes(measure.n, counts)), None)
        if mine is None:
            populations.append(mine := _Population(measure.n, {}, []))
        mine.counts.update(counts)
        mine.measures.append(measure.name)
    return populations


def _attribute(one: AuditedAttribute, alone: set[Group]) -> AuditedAttribute:
    counts = {value: n for value, n in one.counts.items() if Group(((one.name, value),)) in alone}
    told = NOT_SAID in counts or not one.counts.get(NOT_SAID)
    return dataclasses.replace(one, counts=counts, missing=one.missing if told else 0)


def _gap(before: AuditedAttribute, after: AuditedAttribute) -> bool:
    """Whether how many pictures lack an attribute must not be told."""
    return bool(before.counts.get(NOT_SAID)) and NOT_SAID not in after.counts


def _measure(measure: Measure, allowed: set[Group], few: Collection[Group], silent: set[str]) -> Measure:
    """A measure with the groups that may be shown.

    few: those that would tell of few pictures of a class; silent: attributes of which shares would tell how many pictures lack them.
    """
    groups = [
        one
        for one in measure.groups
        if Group(tuple(sorted(one.group.values))) in allowed
        and one.group not in few
        and not (measure.rule == SHARES and silent.intersection(one.group.attributes))
    ]
    if len(groups) == len(measure.groups):
        return measure
    kept = any(one.group == measure.worst for one in groups)
    # The gap may be to a group that is not shown any more.
    return dataclasses.replace(measure, groups=groups, gap=None, worst=measure.worst if kept else None)


def _tested(measure: Measure) -> set[Group]:
    return {one.group for one in measure.groups}


# What changed


def _changes(changes: Sequence[Changed], audit: GroupAudit, few: Mapping[str, Collection[Group]]) -> list[Changed]:
    """Changes of groups that the audit shows in that measure; of measures that it has not, of groups of one attribute that it shows.

    Both also as the pictures that changes are of allow it, since these are others than the audit's: those of both versions, or the
    earlier version's.
    """
    by_measure = {measure.name: _tested(measure) for measure in audit.measures}
    alone = {Group(((one.name, value),)) for one in audit.attributes for value in one.counts}
    kept = []
    for name in dict.fromkeys(one.measure for one in changes):
        its = [one for one in changes if one.measure == name]
        allowed = by_measure.get(name, alone) - {*few.get(name, ())}
        for counts, total in _counted(its):
            allowed = allowed & shown(counts, total, audit.min_cell)
        kept += [one for one in its if one.group in allowed and min(_pictures(one)) >= audit.min_cell]
    return kept


def _counted(its: Sequence[Changed]) -> list[tuple[dict[Group, int], int]]:
    """Pictures by group that changes of one measure are of, and in all: at each version, or the same ones at both.

    How many the same ones are in all no change says; a reader knows as many as the attribute has of which most is said.
    """
    if its[0].paired:
        counts = {one.group: one.n for one in its}
        said: Counter[str] = Counter()
        for group, n in counts.items():
            if group.depth == 1:
                said[group.attributes[0]] += n
        return [(counts, max(said.values(), default=0))]
    now = {one.group: _pictures(one)[1] for one in its}
    before = {one.group: _pictures(one)[0] for one in its}
    most = max(its, key=lambda one: before[one.group])
    total = round(before[most.group] / most.before.value) if most.before.value else 0
    return [(before, total), (now, most.n)]


def _pictures(one: Changed) -> tuple[int, int]:
    """Pictures of a group at both versions."""
    if one.paired:
        return one.n, one.n
    now = round(one.after.value * one.n)
    return now - one.gained + one.lost, now


# Names of people


def _people(audit: GroupAudit) -> dict[str, str]:
    """Measures of single annotators, and what these are called where it can be shared."""
    named = [one.name for one in audit.measures if one.name.startswith(PERSON)]
    return {name: f"person {at}" for at, name in enumerate(sorted(named), 1)}


def _without_names(audit: GroupAudit) -> GroupAudit:
    people = _people(audit)
    return dataclasses.replace(audit, measures=[_unnamed(one, people) for one in audit.measures])


def _unnamed(measure: Measure, people: Mapping[str, str]) -> Measure:
    if measure.name not in people:
        return measure
    name, called = measure.name.removeprefix(PERSON), people[measure.name]
    told = {
        field: getattr(measure, field).replace(name, called) for field in ("title", "outcome", "population", "note")
    }
    return dataclasses.replace(measure, name=PERSON + called, **told)


def _changed_without_name(one: Changed, audit: GroupAudit) -> Changed:
    people = _people(audit)
    return dataclasses.replace(one, measure=PERSON + people[one.measure]) if one.measure in people else one
