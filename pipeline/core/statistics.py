"""Intervals and errors of the figures that we report: no share without its n and its interval."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

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
