"""Shares that are put together from the shares of strata: their intervals, their differences, and p.

The interval of a weighted sum comes from the intervals of its parts, each end by the distance that it itself leaves open (MOVER,
Zou and Donner 2008), with Wilson's for each part: a stratum in which nothing was seen still says how much could be in it, which a
variance of 0 does not. p is exact: see `p_values`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtr, ndtri

from secondlook.pipeline.core.comparison import Estimate
from secondlook.pipeline.core.statistics import Interval

HALVINGS, FARTHEST = 50, 37.0  # of a deviation whose p is sought; beyond the farthest p is 0

Floats = npt.NDArray[np.float64]


class Combined(NamedTuple):
    """R shares, each the sum over S strata of `part` (R, S) times `k` of `n` (R, S); n need not be whole, and is above 0.

    spread: (R,) variance that the sum has beside, as where the parts themselves are of a sample.
    """

    k: Floats
    n: Floats
    part: Floats
    spread: Floats

    @property
    def value(self) -> Floats:
        """(R,) the shares."""
        return np.asarray((self.part * self.k / self.n).sum(axis=1), np.float64)

    @property
    def variance(self) -> Floats:
        """(R,) about their variances, never 0: each part's with one picture more of either kind."""
        share = (self.k + 1) / (self.n + 2)
        return np.asarray((np.square(self.part) * share * (1 - share) / self.n).sum(axis=1) + self.spread, np.float64)

    def ends(self, z: float | Floats) -> tuple[Floats, Floats]:
        """(R,) lower and upper ends at `z` deviations, one or (R,)."""
        at = np.broadcast_to(np.asarray(z, np.float64), (len(self.k),))[:, None]
        share = self.k / self.n
        wide = np.square(at) / self.n
        center = (share + wide / 2) / (1 + wide)
        half = np.sqrt(share * (1 - share) * wide + np.square(wide) / 4) / (1 + wide)
        low = np.where(self.k > 0, share - np.maximum(center - half, 0), 0.0)
        high = np.where(self.k < self.n, np.minimum(center + half, 1) - share, 0.0)
        beside = np.square(at[:, 0]) * self.spread
        down, up = (np.sqrt(np.square(self.part * one).sum(axis=1) + beside) for one in (low, high))
        return np.clip(self.value - down, 0, 1), np.clip(self.value + up, 0, 1)

    def exact(self, z: Floats) -> tuple[Floats, Floats]:
        """(R,) lower and upper ends at `z` (R,) deviations, of one share with the effective number of pictures, by Clopper and Pearson."""
        share = self.k / self.n
        spread = (np.square(self.part) * share * (1 - share) / self.n).sum(axis=1) + self.spread
        inside = (spread > 0) & (self.value > 0) & (self.value < 1)
        alike = np.divide(self.value * (1 - self.value), spread, out=np.zeros_like(spread), where=inside)
        plain = 1 / (np.square(self.part) / self.n).sum(axis=1)
        n = np.minimum(np.where(inside, alike, plain), self.n.sum(axis=1))
        k, tail = np.clip(self.value, 0, 1) * n, ndtr(-z)
        low = np.where(k > 0, betaincinv(np.maximum(k, 1e-12), n - k + 1, tail), 0.0)
        high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1e-12), 1 - tail), 1.0)
        return low, high

    def estimates(self, confidence: float) -> list[Estimate]:
        """With their intervals."""
        low, high = self.ends(_deviations(confidence))
        return _estimates(self.value, low, high)


def differences(first: Combined, second: Combined, confidence: float, shift: npt.ArrayLike = 0.0) -> list[Estimate]:
    """`shift` plus the shares of `first` less those of `second`, which are of other pictures."""
    moved = np.asarray(shift, np.float64)
    low, high = _difference_ends(first, second, _deviations(confidence))
    return _estimates(first.value - second.value + moved, low + moved, high + moved)


def p_values(first: Combined, second: Combined) -> Floats:
    """(R,) two-sided p of these differences being 0: the significance at which an interval with exact ends first reaches 0.

    Not the interval of `differences`, which is made for its usual confidence. Far out its squares no longer add up: of hits in two strata no
    deviation, however large, would reach 0 (of 8 answers 2 wrong, beside 2 %: p = 5e-18, and the binomial says 0.01). So each
    share is one of as many pictures as vary so much (Korn and Graubard 1998), with Clopper and Pearson's ends; the two distances are
    squared and added.
    """
    off: Floats = first.value - second.value
    near: Floats = np.zeros_like(off)
    far: Floats = np.full_like(off, FARTHEST)
    for _ in range(HALVINGS):
        z = (near + far) / 2
        low, high = first.exact(z)
        other_low, other_high = second.exact(z)
        down, up = (
            np.hypot(first.value - low, other_high - second.value),
            np.hypot(high - first.value, second.value - other_low),
        )
        out = np.where(off > 0, off > down, -off > up) & (off != 0)
        near, far = np.where(out, z, near), np.where(out, far, z)
    return np.asarray(2 * ndtr(-near), np.float64)


def _difference_ends(first: Combined, second: Combined, z: float | Floats) -> tuple[Floats, Floats]:
    low, high = first.ends(z)
    other_low, other_high = second.ends(z)
    value, other = first.value, second.value
    return (
        value - other - np.hypot(value - low, other_high - other),
        value - other + np.hypot(high - value, other - other_low),
    )


def _deviations(confidence: float) -> float:
    return float(ndtri(0.5 + confidence / 2))


def _estimates(value: Floats, low: Floats, high: Floats) -> list[Estimate]:
    return [
        Estimate(one, Interval(*ends)) for one, *ends in zip(value.tolist(), low.tolist(), high.tolist(), strict=True)
    ]
