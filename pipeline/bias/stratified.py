"""Whether something happens more often in a group than outside of it among the like: exact, stratum by stratum.

For each stratum there is a table of two by two, pictures in the group and outside of it, with and without a hit. Both margins of each
are held fixed, as Cochran (1954), Mantel and Haenszel (1959) do, and their sum of hits in the group has an exact distribution: that of
a sum of hypergeometric ones.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import hypergeom

from secondlook.pipeline.core.statistics import Interval

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

LONGEST = 20_000  # possible sums of hits, above which their distribution is taken as normal


class Strata(NamedTuple):
    """(S,) each: hits and pictures in the group, hits and pictures outside of it."""

    hits: Ints
    n: Ints
    other_hits: Ints
    others: Ints


def p_value(strata: Strata) -> float:
    """Twice the smaller tail of the sum of hits in the group, at most 1.

    >>> one = np.array([5]), np.array([5]), np.array([0]), np.array([5])
    >>> round(p_value(Strata(*one)), 4)  # Fisher's: 2 of the 252 ways to choose 5 of 10
    0.0079
    """
    found = int(strata.hits.sum())
    marked, whole = strata.hits + strata.other_hits, strata.n + strata.others
    least, most = np.maximum(0, marked - strata.others), np.minimum(marked, strata.n)
    if int((most - least).sum()) > LONGEST:
        return _normal(strata)
    chances = np.ones(1)
    for low, high, k, n, all_ in zip(least, most, marked, strata.n, whole, strict=True):
        chances = np.convolve(chances, hypergeom.pmf(np.arange(low, high + 1), all_, k, n))
    at = found - int(least.sum())
    return float(min(2 * min(chances[: at + 1].sum(), chances[at:].sum()), 1.0))


def _normal(strata: Strata) -> float:
    marked, whole = strata.hits + strata.other_hits, strata.n + strata.others
    mean = (marked * strata.n / whole).sum()
    spread = (marked * (whole - marked) * strata.n * strata.others / (whole**2 * np.maximum(whole - 1, 1))).sum() ** 0.5
    return float(min(2 * float(ndtr(-max(abs(strata.hits.sum() - mean) - 0.5, 0) / spread)), 1.0)) if spread else 1.0


def difference(strata: Strata, confidence: float) -> tuple[float, Interval]:
    """The share of hits in the group less that outside of it, of the like: Mantel and Haenszel's weights, Sato's interval (1989).

    nan, and everything from -1 to 1, where no stratum has pictures on both sides.
    """
    both = (strata.n > 0) & (strata.others > 0)
    hits, n, other_hits, others = (one[both].astype(np.float64) for one in strata)
    if not len(n):
        return float("nan"), Interval(-1.0, 1.0)
    whole = n + others
    weight = (n * others / whole).sum()
    found = float(((hits * others - other_hits * n) / whole).sum() / weight)
    p = ((n**2 * other_hits - others**2 * hits + n * others * (others - n) / 2) / whole**2).sum()
    q = ((hits * (others - other_hits) + other_hits * (n - hits)) / (2 * whole)).sum()
    half = float(ndtri(0.5 + confidence / 2)) * max(found * p + q, 0.0) ** 0.5 / weight
    return found, Interval(max(found - half, -1.0), min(found + half, 1.0))
