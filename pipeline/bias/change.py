"""Did it help group X: what became of the same pictures between two versions, group by group.

The pictures are pairs: each is judged before and after. So a share's change is (gained - lost) / n, and those that count at both
versions, or at neither, say nothing of it but their number. Comparing two shares as if they were of different pictures would
throw that away, and find far less.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from secondlook.pipeline.bias.counts import Copies, Counts
from secondlook.pipeline.bias.members import members
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Changed, Estimate, Worse
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.paired import Units, design_effect, paired_interval, swap_test
from secondlook.pipeline.core.statistics import Interval, holm, intervals

PAIRS = (
    "neither",
    "lost",
    "gained",
    "both",
)  # outcomes of a picture that is judged twice: at neither version, only before …
STAYS = ("removed", "stayed", "added")  # outcomes of a picture of either version

Reals = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Twice:
    """One measure at two versions, to be said of all groups: `counts` has the outcomes PAIRS, or STAYS for shares of all pictures."""

    measure: str
    rule: str
    outcome: str
    worse: Worse
    counts: Counts
    note: str = ""


def changes(measures: Sequence[Twice], settings: BiasSettings) -> list[Changed]:
    """What changed for each group of at least `min_cell` pictures, in each measure.

    `adjusted` is by Holm over all that is returned: it holds however groups and measures depend on each other, as crossed groups
    and two measures of the same labels do.
    """
    found: list[Changed] = []
    for one in measures:
        groups = members(one.counts.grouping, one.counts.cells, settings.depth).groups()
        found += (_paired if one.counts.outcomes == PAIRS else _shares)(one, groups, settings)
    if not found:
        return []
    adjusted = holm([one.p for one in found])
    return [dataclasses.replace(one, adjusted=p) for one, p in zip(found, adjusted.tolist(), strict=True)]


def _paired(one: Twice, groups: Sequence[Group], settings: BiasSettings) -> list[Changed]:
    counts = one.counts.by_group(groups)
    shown = np.flatnonzero(counts.sum(axis=1) >= settings.min_cell)
    deltas = _clusters(one.counts, [groups[row] for row in shown])
    found = []
    for row, (apart, deffs) in zip(shown.tolist(), deltas, strict=True):
        _, lost, gained, both = (int(n) for n in counts[row])
        n = int(counts[row].sum())
        first, second = (
            _estimate(k, n, deff, settings.confidence)
            for k, deff in ((lost + both, deffs[0]), (gained + both, deffs[1]))
        )
        difference = Estimate((gained - lost) / n, paired_interval(gained, lost, n, deffs[2], settings.confidence))
        p = swap_test(apart)
        changed = Changed(one.measure, groups[row], n, first, second, difference, p, gained=gained, lost=lost)
        found.append(dataclasses.replace(changed, rule=one.rule, outcome=one.outcome, worse=one.worse, note=one.note))
    return found


def _clusters(counts: Counts, groups: Sequence[Group]) -> list[tuple[Codes, tuple[float, float, float]]]:
    """For each group: gained minus lost of what is independent; and the design effects of before, after and their difference."""
    by_group = counts.by_group(groups)
    copies = counts.copies
    if copies is None or not len(copies.cluster):
        return [(np.repeat([1, -1], [n[2], n[1]]), (1.0, 1.0, 1.0)) for n in by_group]
    inside = counts.membership(groups)
    rows = (inside[[row]].toarray()[0].astype(bool)[copies.cell] for row in range(len(groups)))
    return [_with_copies(n, copies, mine) for n, mine in zip(by_group, rows, strict=True)]


def _with_copies(n: Codes, copies: Copies, mine: npt.NDArray[np.bool_]) -> tuple[Codes, tuple[float, float, float]]:
    outcome, cluster = copies.outcome[mine], copies.cluster[mine]
    single = n - np.bincount(outcome, minlength=len(PAIRS))
    _, place = np.unique(cluster, return_inverse=True)
    before, after = (np.isin(outcome, [low, 3]).astype(np.float64) for low in (1, 2))
    size = np.bincount(place)
    sums = [
        np.asarray(np.bincount(place, weights=its, minlength=len(size)), np.float64)
        for its in (before, after, after - before)
    ]
    total = float(n.sum())
    squares = (n[1] + n[3]) / total, (n[2] + n[3]) / total, (n[2] + n[1]) / total
    values = ((0.0, 1.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0), (0.0, -1.0, 1.0, 0.0))
    times = np.concatenate([single, np.ones(len(size), np.int64)])
    sizes = np.concatenate([np.ones(len(single)), size])
    deffs = [
        design_effect(Units(np.concatenate([value, of]), sizes, times), square)
        for of, square, value in zip(sums, squares, values, strict=True)
    ]
    apart = np.concatenate([np.repeat([1, -1], [single[2], single[1]]), sums[2].astype(np.int64)])
    return apart, (deffs[0], deffs[1], deffs[2])


def _estimate(k: float, n: int, deff: float, confidence: float) -> Estimate:
    low, high = intervals(k / deff, n / deff, confidence)
    return Estimate(k / n, Interval(float(low), float(high)))


def _shares(one: Twice, groups: Sequence[Group], settings: BiasSettings) -> list[Changed]:
    """Of shares of all pictures: those that stayed are in both shares, so that only what was removed and added can move them."""
    counts = one.counts.by_group(groups)
    gone, stayed, added = (int(n) for n in one.counts.n.sum(axis=0))
    n_before, n_after = gone + stayed, stayed + added
    if not n_before or not n_after:
        return []
    # What one picture more of a group does to the difference: of those removed, stayed, added.
    worth = np.array([-1 / n_before, 1 / n_after - 1 / n_before, 1 / n_after])
    sizes = np.array([gone, stayed, added], np.float64)
    found = []
    for group, k in zip(groups, counts, strict=True):
        if k.sum() < settings.min_cell:
            continue
        first = _estimate(int(k[0] + k[1]), n_before, 1.0, settings.confidence)
        second = _estimate(int(k[1] + k[2]), n_after, 1.0, settings.confidence)
        difference = Estimate(second.value - first.value, _combined(k, sizes, worth, settings.confidence))
        p = _moved(k, sizes, worth)
        changed = Changed(one.measure, group, n_after, first, second, difference, p, gained=int(k[2]), lost=int(k[0]))
        found.append(
            dataclasses.replace(
                changed, rule=one.rule, outcome=one.outcome, worse=one.worse, paired=False, note=one.note
            )
        )
    return found


def _combined(k: Codes, sizes: Reals, worth: Reals, confidence: float) -> Interval:
    """Interval of sum(worth * k), k of `sizes` independent pictures: the limits of the three shares, squared and added.

    Zou and Donner 2008, "Construction of confidence limits about effect measures: a general approach".
    """
    value, down, up = float(worth @ k), 0.0, 0.0
    for mine, n, weight in zip(k.tolist(), sizes.tolist(), (worth * sizes).tolist(), strict=True):
        if not n:
            continue
        low, high = (float(limit) for limit in intervals(mine, n, confidence))
        below, above = (low, high) if weight > 0 else (high, low)
        down += (weight * (mine / n - below)) ** 2
        up += (weight * (above - mine / n)) ** 2
    return Interval(max(value - down**0.5, -1.0), min(value + up**0.5, 1.0))


def _moved(k: Codes, sizes: Reals, worth: Reals) -> float:
    """p that a share moved so much if who was removed, stayed and was added had nothing to do with the group.

    Fisher's exact test where pictures were only added or only removed; else the normal law of the permutation's sum.
    """
    there = np.flatnonzero(sizes)
    if len(there) < 2:
        return 1.0
    if len(there) == 2:
        table = np.stack([k[there], sizes[there].astype(np.int64) - k[there]])
        return float(stats.fisher_exact(table).pvalue)
    n, mine = float(sizes.sum()), float(k.sum())
    mean = float(worth @ sizes) / n
    spread = float(sizes @ (worth - mean) ** 2) / n * mine * (n - mine) / max(n - 1, 1)
    if spread <= 0:
        return 1.0
    return float(2 * stats.norm.sf(abs(float(worth @ k) - mine * mean) / spread**0.5))
