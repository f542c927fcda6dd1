"""A mean by groups, of a score that every picture has: how far apart means are by chance when attributes are permuted against it.

The same idea as permutation.py, for scores of many values instead of hits: every draw deals the scores of all pictures out to the
cells anew, so that what a random group happens to hold is part of chance, skewed scores and few pictures included. The tests'
largest deviation is stepped down (Westfall and Young 1993). Of more than ROWS pictures, the cells of groups below SMALL are dealt
from all scores as if these never ran out, and the rest of the large groups is normal with the covariance of the permutation.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import ndtr, ndtri

from secondlook.pipeline.bias.permutation import FEW
from secondlook.pipeline.bias.permuted import Noise

ROWS = 60_000  # pictures whose scores are dealt out one by one: 2,000 draws take about two seconds
SMALL = 1000  # pictures, from which on a group's mean may be taken as normal
CHUNK = 4_000_000  # numbers held at once

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Dealt:
    """Of T tests: p (T,) of each alone and adjusted (T,) for all of them, and the largest deviation of each draw (B,), ascending."""

    p: Floats
    adjusted: Floats
    largest: Floats

    def level(self, alpha: float) -> float:
        """The p that a test needs so that all of them have a false alarm with a chance of at most alpha."""
        above = int(np.floor(alpha * (len(self.largest) + 1) + 1e-9))
        if above > FEW:
            return float(2 * ndtr(-self.largest[-above]))
        return alpha / max(len(self.p), 1)


def deal(n: Ints, scores: Floats, groups: "sp.csr_array", found: Floats, rng: np.random.Generator, draws: int) -> Dealt:
    """T groups (T, C) of cells with n (C, M) pictures of each of M scores (M,); found: (T,) sums of scores of the groups.

    p is never below 1 / (draws + 1).
    """
    cells, of_score = n.sum(axis=1), n.sum(axis=0)
    total = int(cells.sum())
    mean = float(of_score @ scores) / max(total, 1)
    spread = float(of_score @ np.square(scores - mean)) / max(total - 1, 1)
    sizes = np.asarray(groups @ cells, np.float64)
    deviation = np.sqrt(np.maximum(spread * sizes * (total - sizes) / max(total, 1), 0.0))
    usable = deviation > 0

    def far(sums: Floats) -> Floats:
        off = np.abs(sums - (sizes * mean)[:, None])
        return np.divide(off, deviation[:, None], out=np.zeros_like(off), where=usable[:, None])

    own = far(found[:, None])[:, 0]
    order = np.argsort(-own, kind="stable")
    alone, together = np.zeros(len(own), np.int64), np.zeros(len(own), np.int64)
    largest = []
    hand = _Hand(cells, of_score, scores - mean, groups, sizes)
    step = int(np.clip(CHUNK // max(hand.width, len(own), 1), 1, draws))
    for begin in range(0, draws, step):
        drawn = far(hand(rng, min(step, draws - begin)) + (sizes * mean)[:, None])
        alone += (drawn >= own[:, None] * (1 - 1e-9)).sum(axis=1)
        # Of the tests from each rank on, the largest: what was rejected before no longer counts.
        most = np.maximum.accumulate(drawn[order][::-1], axis=0)[::-1]
        together[order] += (most >= own[order][:, None] * (1 - 1e-9)).sum(axis=1)
        largest.append(most[0] if len(most) else np.zeros(min(step, draws - begin)))
    adjusted = (1 + together) / (draws + 1)
    adjusted[order] = np.maximum.accumulate(adjusted[order]) if len(own) else adjusted
    return Dealt((1 + alone) / (draws + 1), adjusted, np.sort(np.concatenate(largest)))


class _Hand:
    """Deals scores, whose mean is 0, out to C cells; what groups (T, C) then have in sum."""

    def __init__(self, cells: Ints, of_score: Ints, scores: Floats, groups: "sp.csr_array", sizes: Floats) -> None:
        self.total, self.cells, self.groups = int(cells.sum()), cells, groups
        self.exact = self.total <= ROWS
        small = sizes < SMALL
        self.near = (
            np.ones(len(cells), bool)
            if self.exact
            else np.asarray(groups[small].sum(axis=0)).reshape(-1) > 0
            if small.any()
            else np.zeros(len(cells), bool)
        )
        self.scores, self.chance = scores, of_score / max(self.total, 1)
        self.pile = np.repeat(scores, of_score) if self.exact else np.zeros(0)
        self.width = int(cells[self.near].sum())
        self.spread = (float(of_score @ np.square(scores)) / max(self.total - 1, 1)) ** 0.5
        far = ~self.near & (cells > 0)
        self.noise = Noise(cells[far], groups[:, far]) if far.any() else None

    def __call__(self, rng: np.random.Generator, draws: int) -> Floats:
        """(T, draws) sums of the groups."""
        held = np.flatnonzero(self.near & (self.cells > 0))
        sums = np.zeros((len(self.cells), draws))
        starts = np.concatenate([[0], np.cumsum(self.cells[held])[:-1]]).astype(np.int64)
        for draw in range(draws if len(held) else 0):
            if self.exact:
                rng.shuffle(self.pile)
                dealt = self.pile
            else:
                dealt = rng.choice(self.scores, self.width, p=self.chance)
            sums[held, draw] = np.add.reduceat(dealt, starts)
        out = np.asarray(self.groups @ sums, np.float64)
        if self.noise is not None:
            out += self.spread * self.noise(rng, draws)
        return out


def smallest_gap(spread: Floats, alpha: float, power: float, least: float) -> Floats:
    """(G,) differences of means with these standard errors (G,) that are found so often at this p, and are at least `least`."""
    found = (ndtri(1 - alpha / 2) + ndtri(power)) * spread
    return np.asarray(np.maximum(found, least + ndtri(power) * spread), np.float64)
