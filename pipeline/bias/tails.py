"""How likely as many hits in a group are by chance: exact, with how many hits there are and how large the group is held fixed.

Of N pictures K are hits; a group of n has as many of them as n drawn without returning: the hypergeometric distribution,
which is Fisher's exact test (1935). The two tails are put together as Blaker (2000) does: p is the smaller tail, plus as
much of the other as is no more likely than it. That is valid (p is at or below a with a chance of at most a), never above twice
the smaller tail, and it is itself the chance of a p as small, which the bound of permutation.py lives on.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, ndtr

# Variance of a count, above which its distribution is taken as normal: deviation 200, skewness at most 1 / 200, p right to five percent of itself at 1e-6.
NORMAL = 40_000.0
TIE = 1 + 1e-9  # tails that differ by rounding alone are equal

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Tails:
    """p of counts of hits in groups, where K of N pictures are hits."""

    def __init__(self, total: int, hits: int) -> None:
        self.total, self.hits = total, hits
        self._table = cache(self._make)

    def variance(self, n: npt.ArrayLike) -> Floats:
        """Variance of the hits in groups of n (G,)."""
        share = self.hits / max(self.total, 1)
        size = np.asarray(n, np.float64)
        return size * share * (1 - share) * (self.total - size) / max(self.total - 1, 1)

    def p(self, found: npt.ArrayLike, n: npt.ArrayLike) -> Floats:
        """p of `found` hits (G, …) in groups of n (G,)."""
        counts, sizes = np.asarray(found, np.int64), np.asarray(n, np.int64)
        out = np.empty(counts.shape)
        wide = self.variance(sizes) > NORMAL
        if wide.any():
            out[wide] = self._normal(counts[wide], sizes[wide])
        for row in np.flatnonzero(~wide):
            low, table, _ = self._table(int(sizes[row]))
            out[row] = table[np.clip(counts[row] - low, 0, len(table) - 1)]
        return out

    def attained(self, n: int) -> Floats | None:
        """All values that p can take in a group of n, ascending; None where it takes any."""
        return None if self.variance(n) > NORMAL else self._table(n)[2]

    def _normal(self, counts: Ints, n: Ints) -> Floats:
        shape = (-1,) + (1,) * (counts.ndim - 1)
        mean = (n * (self.hits / self.total)).reshape(shape)
        off = np.maximum(np.abs(counts - mean) - 0.5, 0.0) / np.sqrt(self.variance(n)).reshape(shape)
        return np.asarray(2 * ndtr(-off))

    def _make(self, n: int) -> tuple[int, Floats, Floats]:
        low, chance = chances(self.total, self.hits, n)
        p = blaker(chance)
        return low, p, np.unique(p)


def chances(total: int, hits: int, n: int) -> tuple[int, Floats]:
    """The least number of hits and the chances of it and the next ones (W,): as far as they lie from the mean as chance reaches."""
    share = hits / max(total, 1)
    mean = n * share
    reach = 12 * (mean * (1 - share) * (total - n) / max(total - 1, 1)) ** 0.5 + 40
    low = max(0, n + hits - total, int(mean - reach))
    high = min(n, hits, int(mean + reach) + 1)
    x = np.arange(low, high + 1, dtype=np.float64)
    log = -(gammaln(x + 1) + gammaln(hits - x + 1) + gammaln(n - x + 1) + gammaln(total - hits - n + x + 1))
    chance = np.exp(log - log.max())
    return low, chance / chance.sum()


def blaker(chance: Floats) -> Floats:
    """p (W,) of each of W counts by their chances (W,)."""
    rarer = np.minimum(np.cumsum(chance), np.cumsum(chance[::-1])[::-1])
    order = np.argsort(rarer, kind="stable")
    reached = np.searchsorted(rarer[order], rarer * TIE, side="right")
    return np.asarray(np.minimum(np.cumsum(chance[order])[reached - 1], 1.0))
