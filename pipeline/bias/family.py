"""False alarms over a whole report: all comparisons of all its measures are one family.

permutation: within a measure as permutation.py says; between measures Bonferroni with weights: each kind of measure may use as much of alpha
as the others, so that twenty classes, each with a measure of its own, do not take what accuracy needs. A measure no longer counts
once all of its comparisons are findings (Goeman and Solari 2010, sequential rejection). benjamini-yekutieli and holm: over the p
of all comparisons, whatever their dependence. Comparisons of the same two sets of pictures are one test: men with
the rest are women with the rest.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from statsmodels.stats.multitest import multipletests

from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Compared, Estimate
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import holm

Floats = npt.NDArray[np.float64]
Levels = Callable[[float], float]
Gaps = Callable[[float], Floats]


@dataclass(frozen=True)
class Comparison:
    """All groups of one measure, compared, before the report as a whole corrects them.

    n, k, overall: of all pictures that could count. untested: groups with too few pictures, or outside of which are too few.
    gap: the largest difference between two groups of the same attributes, that is `between` them, with an interval that knows it was chosen.
    worst: the group that fares worst. method: in words.

    What the correction over the report needs: tests: for each group the number of its test, None where each has its own.
    within: for each group its p adjusted within this measure, None: Holm of `p`. level: of alpha for this measure, the p that a group
    needs; None: alpha by the number of tests. gaps: of the p that is needed, the smallest gap of each group; None: as it is. kind: what is
    measured, the same for the measures of several classes or people; "": a kind of its own.
    """

    groups: tuple[Compared, ...] = ()
    n: int = 0
    k: float = 0.0
    overall: Estimate | None = None
    untested: int = 0
    gap: Estimate | None = None
    between: tuple[Group, Group] | None = None
    worst: Group | None = None
    method: str = ""
    tests: tuple[int, ...] | None = None
    within: tuple[float, ...] | None = None
    level: Levels | None = None
    gaps: Gaps | None = None
    kind: str = ""

    @property
    def count(self) -> int:
        """How many tests it makes."""
        return len(set(self.tests)) if self.tests is not None else len(self.groups)


def adjusted(comparisons: Sequence[Comparison], settings: BiasSettings) -> list[tuple[Compared, ...]]:
    """The groups of each measure, with `adjusted` over all of them, and with the smallest gap at the p that this needs."""
    tests, weights = [_Tests.of(one) for one in comparisons], _weights(comparisons)
    if settings.correction == "permutation":
        found = _between([one.within for one in tests], weights)
    else:
        found = _over_all([one.p for one in tests], settings.correction)
    family = sum(one.count for one in comparisons)
    out = []
    for comparison, weight, test, values in zip(comparisons, weights.tolist(), tests, found, strict=True):
        level = _level(comparison, weight, family, settings)
        gaps = (
            comparison.gaps(level)
            if comparison.gaps and comparison.groups
            else [one.smallest_gap for one in comparison.groups]
        )
        spread = values[test.place]
        out.append(
            tuple(
                dataclasses.replace(one, adjusted=float(p), smallest_gap=float(gap))
                for one, p, gap in zip(comparison.groups, spread, gaps, strict=True)
            )
        )
    return out


def _weights(comparisons: Sequence[Comparison]) -> Floats:
    """(M,) what each measure may use of alpha, 0 where it compares nothing: kinds alike, and within a kind its measures."""
    kinds = [one.kind or f"\0{at}" if one.count else "" for at, one in enumerate(comparisons)]
    size = Counter(kind for kind in kinds if kind)
    return np.array([1 / (len(size) * size[kind]) if kind else 0.0 for kind in kinds], np.float64)


def _level(comparison: Comparison, weight: float, family: int, settings: BiasSettings) -> float:
    """The p that a group of this measure needs where nothing else is found: the first step of each correction."""
    if settings.correction == "permutation":
        alpha = settings.alpha * weight
        return comparison.level(alpha) if comparison.level else alpha / max(comparison.count, 1)
    harmonic = float((1 / np.arange(1, family + 1)).sum()) if settings.correction == "benjamini-yekutieli" else 1.0
    return settings.alpha / max(family * harmonic, 1.0)


@dataclass(frozen=True)
class _Tests:
    """T tests of a measure: p and p adjusted within it (T,), and for each of its groups its test's place (G,)."""

    p: Floats
    within: Floats
    place: npt.NDArray[np.intp]

    @classmethod
    def of(cls, comparison: Comparison) -> "_Tests":
        raw = np.array([one.p for one in comparison.groups], np.float64)
        raw = np.where(np.isnan(raw), 1.0, raw)
        names = comparison.tests if comparison.tests is not None else tuple(range(len(raw)))
        _, first, place = np.unique(np.asarray(names, np.int64), return_index=True, return_inverse=True)
        p = raw[first]
        inside = np.asarray(comparison.within, np.float64)[first] if comparison.within is not None else holm(p)
        return cls(p, np.maximum(inside, p), place.reshape(-1))


def _over_all(p: Sequence[Floats], correction: str) -> list[Floats]:
    every = np.concatenate(p) if p else np.zeros(0)
    if correction == "holm":
        every = holm(every)
    elif len(every):
        every = np.asarray(multipletests(every, method="fdr_by")[1])
    return np.split(every, np.cumsum([len(one) for one in p])[:-1]) if p else []


def _between(inside: Sequence[Floats], weights: Floats) -> list[Floats]:
    """Each p by its measure's weight among those measures that have one no smaller by theirs, and never below a smaller one's."""
    measure = np.repeat(np.arange(len(inside)), [len(one) for one in inside])
    weighed = np.concatenate(inside) / weights[measure] if inside else np.zeros(0)
    order = np.argsort(weighed, kind="stable")
    # A measure is open until its largest p is passed.
    last = np.array([weighed[measure == at].max(initial=-np.inf) for at in range(len(inside))])
    out = np.empty(len(weighed))
    if len(weighed):
        open_ = (last[None, :] >= weighed[order][:, None]) @ weights
        out[order] = np.minimum(np.maximum.accumulate(open_ * weighed[order]), 1.0)
    return [out[measure == at] for at in range(len(inside))]
