"""Which findings say nothing beyond what others of the same audit say."""

from collections.abc import Sequence

from secondlook.pipeline.core.comparison import Compared, GroupAudit, Measure
from secondlook.pipeline.core.groups import Group

OVERALL, BY_CLASS = "accuracy", ("false negatives: ", "false positives: ")


def explained(found: Sequence[Compared]) -> dict[Group, tuple[Group, ...]]:
    """Of the groups that one measure finds, those that differ no more than others of them lead to expect, and by which.

    A crossed group is held against the groups found that it is a part of (race Indian, age 70+ against race Indian): against the one that
    differs most, and against the sum of those of one attribute, which is what it would be if attributes only added up. It says more than they do
    where its whole interval lies beyond that.
    """
    by_group = {one.group: one for one in found}
    told: dict[Group, tuple[Group, ...]] = {}
    for one in found:
        wider = [by_group[group] for group in by_group if set(group.values) < set(one.group.values)]
        way = 1 if one.effect.value > 0 else -1
        alike = [other for other in wider if other.effect.value * way > 0]
        if not alike:
            continue
        single = sum(other.effect.value * way for other in alike if other.group.depth == 1)
        expected = max(single, *(other.effect.value * way for other in alike))
        if least(one) <= expected:
            told[one.group] = tuple(sorted(other.group for other in alike))
    return told


def left_out(audit: GroupAudit, measure: Measure) -> dict[Group, tuple[Group, ...]]:
    """Findings of a measure that say nothing of their own, with the groups that say it.

    Those that `explained` names; and of the error rates of single classes those that differ no more than the accuracy of the same
    group does: the model fails it at large, not at this class.
    """
    found = audit.found(measure)
    told = explained(found)
    if not measure.name.startswith(BY_CLASS):
        return told
    overall = {one.group: abs(one.effect.value) for one in _found(audit, OVERALL)}
    return told | {one.group: (one.group,) for one in found if least(one) <= overall.get(one.group, 0.0)}


def least(one: Compared) -> float:
    """How large a difference is at least: the end of its interval that lies nearer to none, in its direction."""
    way = 1 if one.effect.value > 0 else -1
    return min(one.effect.interval.low * way, one.effect.interval.high * way)


def _found(audit: GroupAudit, name: str) -> list[Compared]:
    return [one for measure in audit.measures if measure.name == name for one in audit.found(measure)]
