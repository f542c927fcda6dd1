"""False alarms within one measure: how small the smallest p of all its groups is when attributes are permuted against outcomes.

Permuting rows changes only how many hits each cell has, given how many pictures it has and how many hits there are: a draw
from the multivariate hypergeometric distribution. So the permutation is exact on counts, whatever the number of pictures.
Groups overlap, and what they share is shared in every draw: that is how dependence is respected (Westfall and Young 1993,
the step-down minimum of p). Where drawing every cell would take too long, cells of small groups are drawn as ever, and the rest of
the large ones from the normal distribution with the covariance that the permutation has.

B draws know nothing below 1 / (B + 1), but between the measures of a report p must often be far smaller. Below FEW
draws that are as extreme, the sum over groups of the chance that p is so small takes their place (Tarone 1990), which bounds what
infinitely many draws would say. That is a p-value, too: at or below a with a chance of at most a, for every a.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from secondlook.pipeline.bias.tails import Tails

FEW = 20  # draws at least as extreme, below which they are too few to count on
LARGE = 100.0  # variance of a group's hits from which on the normal distribution may stand for them
WORK = 30_000_000  # cells × draws that are drawn one by one, about five seconds
HIT = 0.06  # cost of drawing one hit, of that of one cell
CHUNK = 4_000_000  # numbers held at once
MOST = 10**9  # pictures that numpy's hypergeometric draw can hold

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Within:
    """Of T tests of one measure.

    adjusted: (T,) chance that any test of the measure, no more extreme ones counted, has so small a p. smallest: (B,) smallest p
    of each draw, ascending. drawn: how, in words.
    """

    adjusted: Floats
    smallest: Floats
    drawn: str

    def level(self, alpha: float) -> float:
        """The p that a test needs so that all of the measure's have a false alarm with a chance of at most alpha."""
        place = int(np.floor(alpha * (len(self.smallest) + 1) + 1e-9))
        tests = max(len(self.adjusted), 1)
        return max(alpha / tests, float(self.smallest[place - 1]) if place > FEW else 0.0)


def within(n: Ints, hits: int, groups: "sp.csr_array", p: Floats, rng: np.random.Generator, draws: int) -> Within:
    """Adjusted p of T tests, groups (T, C) of cells with n (C,) pictures, of which `hits` are hits; p (T,) as found by Tails."""
    total, sizes = int(n.sum()), np.asarray(groups @ n)
    tails = Tails(total, hits)
    order = np.argsort(p, kind="stable")
    ranked, sizes = groups[order], sizes[order]
    found = p[order]
    draw = _Draw(n, hits, ranked, tails.variance(sizes), draws)
    extreme, smallest = np.zeros(len(p), np.int64), []
    step = int(np.clip(CHUNK // max(ranked.shape[0], draw.width, 1), 1, draws))
    for begin in range(0, draws, step):
        chance = tails.p(draw(rng, min(step, draws - begin)), sizes)
        # Of the tests from each rank on, the smallest p: what was rejected before no longer counts.
        least = np.minimum.accumulate(chance[::-1], axis=0)[::-1]
        extreme += (least <= found[:, None] * (1 + 1e-9)).sum(axis=1)
        smallest.append(least[0] if len(least) else np.ones(0))
    adjusted = _adjusted(extreme, draws, _bound(found, sizes, tails, extreme < FEW))
    back = np.empty(len(p))
    back[order] = np.maximum.accumulate(np.maximum(adjusted, found)) if len(p) else adjusted
    return Within(back, np.sort(np.concatenate(smallest)) if smallest else np.ones(0), draw.words)


def _adjusted(extreme: Ints, draws: int, bound: Floats) -> Floats:
    counted = (1 + extreme) / (draws + 1)
    return np.where(extreme < FEW, np.minimum(bound, FEW / (draws + 1)), counted)


def _bound(p: Floats, sizes: Ints, tails: Tails, wanted: npt.NDArray[np.bool_]) -> Floats:
    """(T,) sum over the tests from each rank on of the chance that their p is at or below this one; where wanted."""
    last = int(np.flatnonzero(wanted)[-1]) + 1 if wanted.any() else 0
    bound = np.zeros(len(p))
    at = p[:last] * (1 + 1e-9)
    for rank, n in enumerate(sizes.tolist()):
        reach = min(rank + 1, last)
        values = tails.attained(n)
        if values is None:
            bound[:reach] += p[:reach]
        else:
            place = np.searchsorted(values, at[:reach], side="right")
            bound[:reach] += np.where(place > 0, values[np.maximum(place - 1, 0)], 0.0)
    return np.minimum(bound, 1.0)


class _Draw:
    """Hits of T groups when attributes are permuted."""

    def __init__(self, n: Ints, hits: int, groups: "sp.csr_array", variance: Floats, draws: int) -> None:
        self.hits = hits
        total = int(n.sum())
        long = len(n) * draws > WORK or total >= MOST
        self.large = (variance >= LARGE) & long
        near = (
            np.asarray(groups[~self.large].sum(axis=0)).reshape(-1) > 0 if self.large.any() else np.ones(len(n), bool)
        )
        self.near, self.rest = n[near], int(n[~near].sum())
        self.groups = groups[:, near]
        self.root, self.share = _root(n[~near], groups[self.large][:, ~near]) if self.large.any() else (None, None)
        self.width = len(self.near) + (self.root.shape[1] if self.root is not None else 0)
        self.words = (
            "permutation of attributes, exact on the counts"
            if self.root is None
            else "permutation of attributes, exact for small groups, normal with the same covariance for large ones"
        )

    def __call__(self, rng: np.random.Generator, draws: int) -> Ints:
        """(T, draws) hits."""
        cells, left = self._near(rng, draws)
        out = np.asarray(self.groups @ cells.T)
        if self.root is not None and self.rest > 1:
            rate = left / self.rest
            spread = np.sqrt(np.maximum(left * (1 - rate) / (self.rest - 1), 0.0))
            noise = np.asarray(self.root @ rng.standard_normal((self.root.shape[1], draws)))
            out[self.large] += np.rint(self.share[:, None] * left + noise * spread).astype(np.int64)
        return out

    def _near(self, rng: np.random.Generator, draws: int) -> tuple[Ints, Ints]:
        """Hits of the cells that are drawn one by one (draws, C), and of all others together (draws,)."""
        cells = np.append(self.near, self.rest)
        total = int(cells.sum())
        if total >= MOST:
            drawn = rng.binomial(self.near, self.hits / total, (draws, len(self.near)))
            return drawn, self.hits - drawn.sum(axis=1)
        few = HIT * min(self.hits, total - self.hits) < len(cells) and total < CHUNK
        drawn = rng.multivariate_hypergeometric(cells, self.hits, draws, method="count" if few else "marginals")
        return drawn[:, :-1], drawn[:, -1]


def _root(n: Ints, groups: "sp.csr_array") -> tuple[Floats, Floats]:
    """A matrix (T, R) whose product with its transpose is |g and h| - |g| |h| / N, and |g| / N (T,)."""
    weighted = (groups * n).tocsr()
    sizes = np.asarray(weighted.sum(axis=1), np.float64).reshape(-1)
    total = max(float(n.sum()), 1.0)
    covariance = np.asarray((weighted @ groups.T).toarray(), np.float64) - np.outer(sizes, sizes) / total
    values, vectors = np.linalg.eigh(covariance)
    kept = values > values[-1] * 1e-12 if len(values) else np.zeros(0, bool)
    return vectors[:, kept] * np.sqrt(values[kept]), sizes / total
