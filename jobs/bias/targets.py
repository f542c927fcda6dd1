"""How many pictures of whom to collect: the shortest way to the reference's shares, and until a gap would be seen; as a table."""

import csv
import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from secondlook.pipeline.bias.targets import Shares, needed, together
from secondlook.pipeline.core.comparison import Compared, GroupAudit, Measure
from secondlook.pipeline.core.groups import Group

GAP = 0.05  # of which it is said how many pictures would show it
SEEN = ("SL402", "SL403")  # rules whose gaps it is about
SHARE, POWER = "share", "gap"


class Target(NamedTuple):
    """What to collect of one group. why: SHARE or POWER. have: pictures; share: of all that say the attribute.

    wanted: the share of the reference, or the gap that is to be seen. alone: how many to add if no others are; collect: how many
    of the whole collection, in which each picture counts for a group of each attribute; None where no number is enough.
    """

    why: str
    measure: str
    group: Group
    have: int
    share: float
    wanted: float
    alone: int | None
    collect: int | None
    note: str


COLUMNS = ("why", "measure", "group", "have", "share", "wanted", "alone", "collect", "note")


def targets(audit: GroupAudit) -> list[Target]:
    """All targets of an audit: shares first, as far as it has a reference, then gaps, groups that lack most first."""
    found = [*_shares(audit), *(one for measure in audit.measures for one in _gaps(audit, measure))]
    return [one._replace(note=_with_estimates(audit, one)) for one in found]


def _with_estimates(audit: GroupAudit, one: Target) -> str:
    """Its note, and that a model estimated who is in the group."""
    names = sorted(audit.estimated & set(one.group.attributes))
    return "; ".join([*([one.note] if one.note else []), *(f"{name} was estimated by a model" for name in names)])


def table(found: Sequence[Target], min_cell: int = 0) -> str:
    """Targets as CSV; without the numbers of groups below `min_cell`."""
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(COLUMNS)
    for one in found:
        small = one.have < min_cell
        have, share = ("", "") if small else (one.have, f"{one.share:.4f}")
        more = ("" if small or n is None else n for n in (one.alone, one.collect))
        rows.writerow([one.why, one.measure, _cell(one.group.name), have, share, f"{one.wanted:.4f}", *more, one.note])
    return stream.getvalue()


def _cell(text: str) -> str:
    """Names of groups come from data: a spreadsheet must not run them."""
    return "'" + text if text[:1] in "=+-@\t\r" else text


def _shares(audit: GroupAudit) -> list[Target]:
    found = [one for measure in audit.of("SL401") for one in measure.groups]
    names = list(dict.fromkeys(one.group.attributes[0] for one in found))
    by_name = {name: [one for one in found if one.group.attributes == (name,)] for name in names}
    shares = {
        name: Shares(np.array([round(one.k) for one in its]), np.array([one.against.value for one in its]))
        for name, its in by_name.items()
    }
    collected = together(shares, audit.least_gap)
    note = (
        f"all attributes at once, so that no group is more than {100 * audit.least_gap:g} points below its share"
        if collected is not None
        else "adding pictures is not enough: a group that should not be there has some"
    )
    told = []
    for name, its in by_name.items():
        for at, one in enumerate(its):
            collect = int(collected[name][at]) if collected is not None else None
            told.append(_share(one, collect, note))
    return told


def _share(one: Compared, collect: int | None, note: str) -> Target:
    lacking = one.missing if one.missing is not None else math.nan
    alone = max(math.ceil(lacking), 0) if math.isfinite(lacking) else None
    return Target(SHARE, "share", one.group, round(one.k), one.raw.value, one.against.value, alone, collect, note)


def _gaps(audit: GroupAudit, measure: Measure) -> list[Target]:
    if measure.rule not in SEEN or measure.unit != "share" or not measure.groups:
        return []
    rest = np.array([measure.n - one.n for one in measure.groups])
    share = np.array([one.against.value for one in measure.groups])
    enough = needed(
        rest, share, GAP, audit.alpha / max(audit.tests, 1), audit.power, worse=measure.worse, floor=audit.least_gap
    )
    note = f"until a gap of {100 * GAP:g} points beside the rest is found in {audit.power:.0%} of cases, over {audit.tests:,} comparisons"
    told = []
    for one, wanted in zip(measure.groups, enough.tolist(), strict=True):
        more = max(math.ceil(wanted - one.n), 0) if math.isfinite(wanted) else None
        said = (
            note
            if more is not None
            else "the others are too few, or their share too near the end, for any number to show such a gap"
        )
        told.append(Target(POWER, measure.name, one.group, one.n, one.n / max(measure.n, 1), GAP, more, more, said))
    return sorted(told, key=lambda one: (one.alone is None, -(one.alone or 0)))
