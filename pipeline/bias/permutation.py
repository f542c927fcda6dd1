"""False alarms within one measure: how small the smallest p of all its groups is when attributes are permuted against outcomes.

Permuting rows changes only how many hits each cell has, given how many pictures it has and how many hits there are: a draw
from the multivariate hypergeometric distribution (permuted.py). So the permutation is exact on counts, whatever the number of pictures.
Groups overlap, and what they share is shared in every draw: that is how dependence is respected (Westfall and Young 1993,
the step-down minimum of p).

B draws know nothing below 1 / (B + 1), but between the measures of a report p must often be far smaller. Below FEW
draws that are as extreme, the sum over groups of the chance that p is so small takes their place (Tarone 1990), which bounds what
infinitely many draws would say. That is a p-value, too: at or below a with a chance of at most a, for every a.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from secondlook.pipeline.bias.permuted import Permuted
from secondlook.pipeline.bias.tails import Tails

FEW = 10  # draws at least as extreme, below which they are too few to count on
ROUNDING = 1e-9  # part that two p may differ by and still be one
CHUNK = 4_000_000  # numbers held at once

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GRID: Floats = np.geomspace(1e-14, 1.0, 561).astype(
    np.float64
)  # of p at which the bound is known: each 6 % above the one before


@dataclass(frozen=True)
class Within:
    """Of T tests of one measure.

    adjusted: (T,) chance that any test of the measure, no more extreme ones counted, has so small a p. smallest: (B,) smallest p
    of each draw, ascending. bound: at p of GRID, on how likely it is that the smallest is no larger. drawn: how, in words.
    """

    adjusted: Floats
    smallest: Floats
    bound: Floats
    drawn: str

    def level(self, alpha: float) -> float:
        """The p that a test needs so that all of the measure's have a false alarm with a chance of at most alpha."""
        place = int(np.floor(alpha * (len(self.smallest) + 1) + 1e-9))
        if place > FEW:
            return float(self.smallest[place - 1]) * (1 - 2 * ROUNDING)  # below it, not at it
        return float(GRID[max(int((self.bound <= alpha).sum()) - 1, 0)])


def within(n: Ints, hits: int, groups: "sp.csr_array", p: Floats, rng: np.random.Generator, draws: int) -> Within:
    """Adjusted p of T tests, groups (T, C) of cells with n (C,) pictures, of which `hits` are hits; p (T,) as found by Tails."""
    total, sizes = int(n.sum()), np.asarray(groups @ n)
    tails = Tails(total, hits)
    order = np.argsort(p, kind="stable")
    ranked, sizes = groups[order], sizes[order]
    found = p[order]
    draw = Permuted(n, hits, ranked, tails.variance(sizes), draws)
    extreme, smallest = np.zeros(len(p), np.int64), []
    step = int(np.clip(CHUNK // max(ranked.shape[0], draw.width, 1), 1, draws))
    for begin in range(0, draws, step):
        chance = tails.p(draw(rng, min(step, draws - begin)), sizes)
        # Of the tests from each rank on, the smallest p: what was rejected before no longer counts.
        least = np.minimum.accumulate(chance[::-1], axis=0)[::-1]
        extreme += (least <= found[:, None] * (1 + ROUNDING)).sum(axis=1)
        smallest.append(least[0] if len(least) else np.ones(0))
    last = int(np.flatnonzero(extreme < FEW)[-1]) + 1 if (extreme < FEW).any() else 0
    adjusted = _adjusted(
        extreme, draws, np.append(_bound(found[:last], sizes, tails, ranked=True), np.ones(len(p) - last))
    )
    back = np.empty(len(p))
    back[order] = np.maximum.accumulate(np.maximum(adjusted, found)) if len(p) else adjusted
    return Within(back, np.sort(np.concatenate(smallest)), _bound(GRID, sizes, tails, ranked=False), draw.words)


def _adjusted(extreme: Ints, draws: int, bound: Floats) -> Floats:
    counted = (1 + extreme) / (draws + 1)
    return np.where(extreme < FEW, np.minimum(bound, FEW / (draws + 1)), counted)


def _bound(p: Floats, sizes: Ints, tails: Tails, *, ranked: bool) -> Floats:
    """(P,) sum over tests of groups of `sizes` of the chance that their p is at or below p (P,); ranked: over those from its own rank on."""
    bound, at = np.zeros(len(p)), p * (1 + ROUNDING)
    for rank, n in enumerate(sizes.tolist()):
        reach = min(rank + 1, len(p)) if ranked else len(p)
        values = tails.attained(n)
        if values is None:
            bound[:reach] += p[:reach]
        else:
            place = np.searchsorted(values, at[:reach], side="right")
            bound[:reach] += np.where(place > 0, values[np.maximum(place - 1, 0)], 0.0)
    return np.minimum(bound, 1.0)
