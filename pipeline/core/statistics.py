"""Intervals and errors of the figures that we report: no share without its n and its interval."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtri

EXACT_BELOW = 40  # n, below which a share's interval is Clopper and Pearson's (Brown, Cai and DasGupta 2001)
CALIBRATION_BINS = 15  # Guo et al. 2017, section 4, use 15 bins of equal width


@dataclass(frozen=True)
class Interval:
    """Where a figure lies with the confidence that was asked for."""

    low: float
    high: float


@dataclass(frozen=True)
class Share:
    """`k` of `n`, with the interval of the share; an empty group has the share nan and the interval 0 to 1."""

    k: int
    n: int
    interval: Interval

    @property
    def value(self) -> float:
        """The share itself, 0 to 1."""
        return self.k / self.n if self.n else float("nan")


def wilson(k: float, n: float, confidence: float = 0.95) -> Interval:
    """Score interval of a share `k` of `n` (Wilson 1927), without continuity correction.

    It stays inside 0 to 1 and keeps its promise for small n and for shares near 0 and 1, where the textbook's interval
    does not. Nothing is known of a share of nothing: n = 0 gives 0 to 1. Of weighted answers, `n` is their effective number.

    >>> low_high = wilson(5, 100)
    >>> round(low_high.low, 4), round(low_high.high, 4)
    (0.0215, 0.1118)
    """
    if not 0 <= k <= n:
        raise ValueError(f"k is a part of n, from 0 to n = {n}; got {k}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence lies between 0 and 1, got {confidence}")
    if n == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, spread = k / n, z * z / n
    center = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    # At the ends the formula meets them exactly but for rounding.
    return Interval(0.0 if k == 0 else max(center - half, 0.0), 1.0 if k == n else min(center + half, 1.0))


def share(k: int, n: int, confidence: float = 0.95) -> Share:
    """The share `k` of `n` with its Wilson interval."""
    return Share(k, n, wilson(k, n, confidence))


class Ends(NamedTuple):
    """Lower and upper ends of intervals, arrays of one shape."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


def clopper_pearson(k: float, n: float, confidence: float = 0.95) -> Interval:
    """Exact interval of a share `k` of `n` (Clopper and Pearson 1934): no share in it is rejected by either tail of the binomial.

    It covers at least as often as it promises, for every n and every share. n = 0 gives 0 to 1; n need not be whole, as
    an effective number is not.

    >>> round(clopper_pearson(0, 10).high, 4), round(clopper_pearson(3, 10).low, 4)
    (0.3085, 0.0667)
    """
    _refuse(np.asarray(k), np.asarray(n), confidence)
    low, high = exact(np.asarray(k, np.float64), np.asarray(n, np.float64), confidence)
    return Interval(float(low), float(high))


def intervals(k: npt.ArrayLike, n: npt.ArrayLike, confidence: float | npt.ArrayLike = 0.95) -> Ends:
    """Intervals of shares `k` of `n`: Clopper and Pearson's below EXACT_BELOW, Wilson's from there on.

    >>> low, high = intervals([5, 5], [10, 100])
    >>> [round(float(end), 4) for end in (*low, *high)]
    [0.1871, 0.0215, 0.8129, 0.1118]
    """
    _refuse(np.asarray(k), np.asarray(n), confidence)
    hits, sure, whole = np.broadcast_arrays(
        np.asarray(k, np.float64), np.asarray(confidence, np.float64), np.asarray(n, np.float64)
    )
    small = whole < EXACT_BELOW
    low, high = _scored(hits, whole, sure)
    low[small], high[small] = exact(hits[small], whole[small], sure[small])
    return Ends(low, high)


def differences(
    first: tuple[npt.ArrayLike, npt.ArrayLike],
    second: tuple[npt.ArrayLike, npt.ArrayLike],
    confidence: float | npt.ArrayLike = 0.95,
) -> Ends:
    """Intervals of differences between independent shares, each given as k and n: first less second.

    Newcombe's method 10 (1998): the ends of the two shares' own intervals are put together by squaring and adding. Where
    a share's interval is exact, so wide is its side of the difference.

    >>> low, high = differences((56, 70), (48, 80))
    >>> round(float(low), 4), round(float(high), 4)  # Newcombe's table II, case a
    (0.0524, 0.3339)
    """
    (one, low_one, high_one), (two, low_two, high_two) = (_share(k, n, confidence) for k, n in (first, second))
    middle = one - two
    low = middle - np.sqrt((one - low_one) ** 2 + (high_two - two) ** 2)
    high = middle + np.sqrt((high_one - one) ** 2 + (two - low_two) ** 2)
    return Ends(np.maximum(low, -1.0), np.minimum(high, 1.0))


def _share(
    k: npt.ArrayLike, n: npt.ArrayLike, confidence: float | npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], ...]:
    hits, whole = np.asarray(k, np.float64), np.asarray(n, np.float64)
    return (hits / np.where(whole > 0, whole, np.nan), *intervals(hits, whole, confidence))


def _refuse(k: npt.NDArray[Any], n: npt.NDArray[Any], confidence: float | npt.ArrayLike) -> None:
    if (k < 0).any() or (k > n).any():
        raise ValueError("k is a part of n, from 0 to n")
    sure = np.asarray(confidence)
    if ((sure <= 0) | (sure >= 1)).any():
        raise ValueError(f"confidence lies between 0 and 1, got {confidence!r}")


def exact(k: npt.NDArray[np.float64], n: npt.NDArray[np.float64], confidence: float | npt.NDArray[np.float64]) -> Ends:
    """As `clopper_pearson`, of arrays of one shape."""
    tail = (1 - np.asarray(confidence)) / 2
    # A share of none, or of all, has no tail on its side.
    low = np.where(k > 0, betaincinv(np.where(k > 0, k, 1.0), n - k + 1, tail), 0.0)
    high = np.where(k < n, betaincinv(k + 1, np.where(k < n, n - k, 1.0), 1 - tail), 1.0)
    return Ends(low, high)


def _scored(k: npt.NDArray[np.float64], n: npt.NDArray[np.float64], confidence: npt.NDArray[np.float64]) -> Ends:
    """As `wilson`, of arrays."""
    whole = np.where(n > 0, n, 1.0)
    z = ndtri(0.5 + confidence / 2)
    share, spread = k / whole, z * z / whole
    center = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(share * (1 - share) / whole + spread / whole / 4)
    low = np.where(k == 0, 0.0, np.maximum(center - half, 0.0))
    return Ends(low, np.where(k == n, 1.0, np.minimum(center + half, 1.0)))


def holm(p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(T,) p adjusted by Holm 1979 over a family of T tests, however they depend on each other.

    statsmodels has it, but collects garbage each time: 0.1 s.

    >>> holm([0.04, 0.01, 0.03]).tolist()
    [0.06, 0.03, 0.06]
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1.0)
    return adjusted


def _bins(confidence: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.intp]:
    return np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)


def calibration_error(confidence: npt.ArrayLike, correct: npt.ArrayLike, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: how far confidence is from accuracy, averaged over bins of equal width.

    confidence: (N,) probabilities of the predicted class; correct: (N,) whether it was right. Naeini, Cooper and
    Hauskrecht 2015, with the half-open bins of Guo et al. 2017. nan for N = 0.
    """
    held, right = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if not held.size:
        return float("nan")
    gaps = np.bincount(_bins(held, bins), weights=right - held, minlength=bins)
    return float(np.abs(gaps).sum() / held.size)


def calibration_chance(
    confidence: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    bins: int = CALIBRATION_BINS,
    level: float = 0.95,
    draws: int = 200,
) -> float:
    """The calibration error that a perfectly calibrated model stays below, in `level` of all samples of this size.

    An estimate of this error is never 0 and has no honest interval near it: bootstrap intervals, reflected or not,
    held a true error of 0 in about half of our trials. So a found error is compared with chance instead (the
    consistency resampling of Bröcker and Smith 2007): above this value, it is more than noise.
    """
    held = np.asarray(confidence, np.float64)
    if not held.size:
        return float("nan")
    place = _bins(held, bins)
    errors = np.empty(draws)
    for draw in range(draws):
        gap = (rng.random(held.size) < held) - held
        errors[draw] = np.abs(np.bincount(place, weights=gap, minlength=bins)).sum() / held.size
    return float(np.quantile(errors, level))
