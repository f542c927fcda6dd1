"""Which findings of crossed attributes say nothing beyond what their attributes say one by one."""

from collections.abc import Sequence

from secondlook.pipeline.core.comparison import Compared
from secondlook.pipeline.core.groups import Group


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
        nearest = min(one.effect.interval.low * way, one.effect.interval.high * way)
        if nearest <= expected:
            told[one.group] = tuple(sorted(other.group for other in alike))
    return told
