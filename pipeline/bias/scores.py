"""A mean by groups, of a score that every picture has: how far apart means are by chance when attributes are permuted against it.

The same idea as permutation.py, for scores of many values instead of hits: every draw deals the scores of all pictures out to the
cells anew, so that what a random group happens to hold is part of chance, skewed scores and few pictures included. Distances are in
standard errors of the groups' own spread, and the largest is stepped down (Westfall and Young 1993). Of more than ROWS pictures, the cells of groups below SMALL are dealt
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


def deal(n: Ints, scores: Floats, groups: "sp.csr_array", rng: np.random.Generator, draws: int) -> Dealt:
    """T groups (T, C) of cells with n (C, M) pictures of each of M scores (M,), each against the rest; p is never below 1 / (draws + 1)."""
    cells, of_score = n.sum(axis=1), n.sum(axis=0)
    total = max(int(cells.sum()), 1)
    centered = scores - float(of_score @ scores) / total
    hand = _Hand(cells, of_score, centered, groups)
    far = _Apart(np.asarray(groups @ cells, np.float64), total, float(of_score @ np.square(centered)))
    own = far(*(np.asarray(groups @ (n @ one), np.float64)[:, None] for one in (centered, np.square(centered))))[:, 0]
    order = np.argsort(-own, kind="stable")
    alone, together = np.zeros(len(own), np.int64), np.zeros(len(own), np.int64)
    largest = []
    step = int(np.clip(CHUNK // max(len(cells), len(own), 1), 1, draws))
    for begin in range(0, draws, step):
        drawn = far(*hand(rng, min(step, draws - begin)))
        alone += (drawn >= own[:, None] * (1 - 1e-9)).sum(axis=1)
        # Of the tests from each rank on, the largest: what was rejected before no longer counts.
        most = np.maximum.accumulate(drawn[order][::-1], axis=0)[::-1]
        together[order] += (most >= own[order][:, None] * (1 - 1e-9)).sum(axis=1)
        largest.append(most[0] if len(most) else np.zeros(drawn.shape[1]))
    adjusted = (1 + together) / (draws + 1)
    adjusted[order] = np.maximum.accumulate(adjusted[order])
    return Dealt((1 + alone) / (draws + 1), adjusted, np.sort(np.concatenate(largest)))


class _Apart:
    """How far the means of T groups of `sizes` (T,) are from those of the rest, in standard errors by both sides' own spread.

    By their own, as a group whose scores vary more is no group with another mean (Janssen 1997; Chung and Romano 2013). One picture
    of the spread of all is added to each side: a few equal scores are no proof of no spread.
    """

    def __init__(self, sizes: Floats, total: int, squares: float) -> None:
        self.n, self.rest = sizes[:, None], np.maximum(total - sizes, 1.0)[:, None]
        self.squares, self.spread = squares, squares / total

    def __call__(self, sums: Floats, squares: Floats) -> Floats:
        """(T, draws) of sums of scores, whose mean over all is 0, and sums of their squares, (T, draws) each."""
        here, there = sums / self.n, -sums / self.rest
        within = squares - sums * here + self.spread
        outside = self.squares - squares + sums * there + self.spread
        error = np.sqrt(np.maximum(within, 0) / self.n**2 + np.maximum(outside, 0) / self.rest**2)
        return np.asarray(np.divide(np.abs(here - there), error, out=np.zeros_like(sums), where=error > 0))


class _Hand:
    """Deals scores, whose mean is 0, out to C cells; what groups (T, C) then have in sum, and in sum of squares."""

    def __init__(self, cells: Ints, of_score: Ints, scores: Floats, groups: "sp.csr_array") -> None:
        total = int(cells.sum())
        self.exact = total <= ROWS
        near: npt.NDArray[np.bool_] = np.ones(len(cells), bool)
        if not self.exact:
            small = np.asarray(groups @ cells) < SMALL
            near = np.asarray(groups[np.flatnonzero(small)].sum(axis=0)).reshape(-1) > 0
        self.held = np.flatnonzero(near & (cells > 0))
        self.starts = np.append(0, np.cumsum(cells[self.held])[:-1]).astype(np.int64)
        self.pictures = int(cells[self.held].sum())
        self.groups, self.scores, self.chance = groups, scores, of_score / max(total, 1)
        self.pile = np.repeat(scores, of_score) if self.exact else np.zeros(0)
        far = ~near & (cells > 0)
        self.spread = float(of_score @ np.square(scores)) / max(total - 1, 1)
        self.noise = Noise(cells[far], groups[:, np.flatnonzero(far)]) if far.any() else None
        self.far = np.asarray(groups @ np.where(far, cells, 0), np.float64)

    def __call__(self, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
        """(T, draws) each."""
        dealt = np.zeros((2, draws, self.groups.shape[1]))
        for draw in range(draws if len(self.held) else 0):
            if self.exact:
                rng.shuffle(self.pile)
                pile = self.pile
            else:
                pile = rng.choice(self.scores, self.pictures, p=self.chance)
            dealt[0, draw, self.held] = np.add.reduceat(pile, self.starts)
            dealt[1, draw, self.held] = np.add.reduceat(np.square(pile), self.starts)
        sums, squares = (np.asarray(self.groups @ one.T, np.float64) for one in dealt)
        if self.noise is not None:
            sums += self.spread**0.5 * self.noise(rng, draws)
            squares += self.spread * self.far[:, None]
        return sums, squares


def smallest_gap(spread: Floats, alpha: float, power: float, least: float) -> Floats:
    """(G,) differences of means with these standard errors (G,) that are found so often at this p, and are at least `least`."""
    found = (ndtri(1 - alpha / 2) + ndtri(power)) * spread
    return np.asarray(np.maximum(found, least + ndtri(power) * spread), np.float64)
