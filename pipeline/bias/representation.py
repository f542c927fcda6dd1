"""Who is in the data, beside who should be: each group's share against a reference (SL401).

Shares are of the pictures that say the attribute, as the reference's are; what those that do not say it could change is given as
bounds. Only groups of one attribute are compared: a reference gives shares of one attribute at a time, and the product of two would
call it a lack that the two go together.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv
from scipy.stats import binom, binomtest

from secondlook.pipeline.bias import resampling
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.family import Comparison
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Compared, Estimate
from secondlook.pipeline.core.groups import NOT_SAID, Group
from secondlook.pipeline.core.statistics import EXACT_BELOW, Interval, intervals

METHOD = (
    f"intervals: Clopper-Pearson below n = {EXACT_BELOW}, Wilson from there on; p: exact binomial test against the reference, "
    "of those who say the attribute; over the groups of an attribute Holm"
)


class _Said(NamedTuple):
    """Of one attribute: pictures by value, those of them that are no copies of another, and independent pictures; (V,), (V,), one."""

    n: npt.NDArray[np.int64]
    distinct: npt.NDArray[np.int64]
    sure: float


def represent(
    counts: Counts, reference: Mapping[str, Mapping[str, float]], settings: BiasSettings, rng: np.random.Generator
) -> Comparison:
    """The share of each value of each attribute that has a reference: attribute → value → share.

    All outcomes count alike. `n` of a group is how many pictures say the attribute, `k` how many say this value: a value that nobody
    has is compared, too. Attributes that fewer than `min_cell` pictures say are left out, and counted.
    `missing`: how many pictures of the group would have to be added, and of no other, to give it its share.
    """
    said = [name for name in counts.grouping.attributes if name in reference]
    whole, single = _tables(counts, rng)
    found: list[Compared] = []
    tests: list[int] = []
    untested = 0
    for name in said:
        its, values = _of(counts, name, whole, single), _values(counts, name)
        if its.n[values].sum() < max(settings.min_cell, 1):
            untested += len(values)
            continue
        shares = reference[name]
        groups = [
            _compared(name, counts, at, its, shares, settings) for at in values if _value(counts, name, at) in shares
        ]
        # Of two values, one having too little is the other having too much: one test.
        tests += [len(found)] * 2 if len(groups) == 2 else range(len(found), len(found) + len(groups))
        found += groups
    n = int(whole.sum())
    return Comparison(
        groups=tuple(found),
        n=n,
        k=n,
        untested=untested,
        worst=min(found, key=lambda one: one.effect.interval.high).group if found else None,
        method=METHOD + ("; copies count as one" if counts.copies is not None else ""),
        tests=tuple(tests),
        gaps=lambda alpha: np.array([_smallest_gap(one, alpha, settings) for one in found]),
    )


def _tables(counts: Counts, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pictures by cell (C,), all and one of each group of copies."""
    everything = np.ones(len(counts.outcomes), bool)
    whole = resampling.table(counts, everything, everything)
    return whole.n, resampling.distinct(counts, everything, everything, rng).n


def _values(counts: Counts, name: str) -> list[int]:
    """Places of the values that somebody can say."""
    at = counts.grouping.attributes.index(name)
    return [place for place, value in enumerate(counts.grouping.values[at]) if value != NOT_SAID]


def _value(counts: Counts, name: str, at: int) -> str:
    return counts.grouping.values[counts.grouping.attributes.index(name)][at]


def _of(counts: Counts, name: str, whole: npt.NDArray[np.int64], single: npt.NDArray[np.int64]) -> _Said:
    column = counts.grouping.attributes.index(name)
    place, size = counts.cells[:, column], len(counts.grouping.values[column])
    n, distinct = (np.bincount(place, one, size).astype(np.int64) for one in (whole, single))
    inside = np.isin(place, _values(counts, name))
    total = float(whole[inside].sum())
    if counts.copies is None:
        return _Said(n, distinct, total)
    # Copies mostly say the same, so a group of them says as much as one.
    rows = inside[counts.copies.cell]
    of_copies = np.bincount(np.unique(counts.copies.cluster[rows], return_inverse=True)[1])
    alike = total - float(rows.sum()) + float(np.square(of_copies, dtype=np.float64).sum())
    return _Said(n, distinct, total**2 / alike if alike else 0.0)


def _compared(
    name: str, counts: Counts, at: int, its: _Said, shares: Mapping[str, float], settings: BiasSettings
) -> Compared:
    values = _values(counts, name)
    value, n, k = _value(counts, name, at), int(its.n[values].sum()), int(its.n[at])
    silent, target = int(its.n.sum()) - n, shares[_value(counts, name, at)]
    low, high = (float(end) for end in intervals(k / n * its.sure, its.sure, settings.confidence))
    single = int(its.distinct[values].sum())
    test = binomtest(int(its.distinct[at]), single, target).pvalue
    turned = (its.distinct[at] / single - target) * (k / n - target) < 0  # the copies alone make the difference
    return Compared(
        group=Group(((name, value),)),
        n=n,
        k=k,
        raw=Estimate(k / n, Interval(low, high)),
        against=Estimate(target, Interval(target, target)),
        effect=Estimate(k / n - target, Interval(low - target, high - target)),
        p=1.0 if turned else float(test),
        missing=lacking(k, n, target),
        bounds=Interval(k / (n + silent), (k + silent) / (n + silent)),
    )


def lacking(k: float, n: float, share: float) -> float:
    """How many pictures of a group, k of n, would have to be added to give it its share; negative: to be taken away.

    Whole ones: enough, and no more than needed. A share of all is not reached by adding, where another is there: inf.

    >>> lacking(10, 100, 0.25)
    20.0
    >>> lacking(60, 100, 0.5)
    -20.0
    """
    short = share * n - k
    if share >= 1:
        return 0.0 if k >= n else math.inf
    return float(math.ceil(round(short / (1 - share), 9)) if short >= 0 else math.floor(round(short / (1 - share), 9)))


def _smallest_gap(one: Compared, alpha: float, settings: BiasSettings) -> float:
    """How far below its reference a share is that this many pictures find so often, at this p; nan where none is."""
    n, target = one.n, one.against.value
    few = int(binom.ppf(min(alpha, 0.5), n, target)) + 1
    while few >= 0 and (target - few / n < settings.least_gap or binomtest(few, n, target).pvalue > alpha):
        few -= 1
    if few < 0 or not target:
        return math.nan
    # At most `few` pictures of the group are a finding, and at this share they are as often as the power asks.
    return target - (1 - float(betaincinv(n - few, few + 1, settings.power))) if few < n else math.nan
