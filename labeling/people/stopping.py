"""When to stop asking: what an hour of people's time has fixed, what the next one is expected to fix, and whether that is worth it.

Batches ask for the worst first, so an hour fixes fewer labels than the one before. The forecast is a Poisson regression of fixed labels on
the hours worked (log-linear, near hours counting more, a slope drawn towards none), with the spread that the windows show beyond
Poisson's. It knows nothing of what will be asked next: where that is of another kind, it is wrong.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.statistics import Interval

Floats = npt.NDArray[np.float64]

WINDOWS = 12  # of equal working time, that the past is cut into
LEAST_ANSWERS = 20  # decided answers below which nothing is forecast
HALF_LIFE = 4.0  # windows after which the past counts half
SLOPE = 0.5  # prior deviation of the slope, over the whole past, of a logarithm
DRAWS = 4000
ROUNDS = 50


class Rate(NamedTuple):
    """Labels fixed an hour, with a 95 % interval."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Pace:
    """What people's time has brought: `fixed` labels in `hours`, a rate; and `following`, the next hour's (None: too few answers).

    `seen`: the hours that the next one is forecast from.
    """

    fixed: int
    hours: float
    rate: Rate
    following: Rate | None
    seen: float


class Left(NamedTuple):
    """How many labels there are to fix: expected, and where that lies with 95 % confidence (where nobody knows, the same)."""

    value: float
    interval: Interval


def pace(
    fixed: npt.ArrayLike, seconds: npt.ArrayLike, rng: np.random.Generator, *, stands: npt.ArrayLike | None = None
) -> Pace | None:
    """From V answers in the order in which they were given: labels that each fixed (0, 1, more with copies) and its seconds.

    `stands` (V,): the answers that tell of the next hour; not those whose decision was taken back, which would look like hours that fixed nothing.
    None without an answer.
    """
    counts, took = np.asarray(fixed, np.float64), np.asarray(seconds, np.float64)
    hours = float(took.sum()) / 3600
    if not len(counts) or hours <= 0:
        return None
    windows, lengths = _windows(counts, took / 3600)
    total = float(counts.sum())
    spread = _spread(windows, total / hours * lengths, 1)
    draws = rng.gamma(total / spread + 0.5, spread / hours, DRAWS)
    rate = Rate(total / hours, _middle(draws))
    chosen = np.ones(len(counts), bool) if stands is None else np.asarray(stands, bool)
    seen = float(took[chosen].sum()) / 3600
    enough = chosen.sum() >= LEAST_ANSWERS and seen > 0
    following = _forecast(*_windows(counts[chosen], took[chosen] / 3600), rng) if enough else None
    return Pace(int(total), hours, rate, following, seen)


def at_most(rate: Rate, left: Left) -> Rate:
    """An hour's rate, which fixes no more labels than there are.

    >>> at_most(Rate(632, Interval(191, 2016)), Left(218, Interval(100, 300)))
    Rate(value=218, interval=Interval(low=100, high=300))
    """
    ends = min(rate.interval.low, left.interval.low), min(rate.interval.high, left.interval.high)
    return Rate(min(rate.value, left.value), Interval(*ends))


def worth_going_on(next_hour: float, *, least: float, worth: float, price: float) -> bool:
    """Whether an hour that fixes so many labels pays.

    With a `worth` of a label and a `price` of an hour above 0, where they come to the price; else where it fixes at least `least`.
    """
    return next_hour * worth >= price if worth > 0 and price > 0 else next_hour >= least


def _windows(counts: Floats, hours: Floats) -> tuple[Floats, Floats]:
    """Counts and hours of windows of about equal working time, oldest first."""
    n = min(WINDOWS, len(counts))
    end = np.cumsum(hours)
    place = np.minimum(((end - hours / 2) / end[-1] * n).astype(np.int64), n - 1)
    lengths = np.bincount(place, hours, minlength=n)
    worked = lengths > 0
    return np.asarray(np.bincount(place, counts, minlength=n)[worked], np.float64), np.asarray(
        lengths[worked], np.float64
    )


def _spread(counts: Floats, expected: Floats, freedom: int) -> float:
    """Variance of counts over what Poisson's would be, at least 1; of few windows drawn towards that."""
    lean = 4.0
    off = float((np.square(counts - expected) / np.maximum(expected, 1e-9)).sum())
    return max((off + lean) / (max(len(counts) - freedom, 0) + lean), 1.0)


def _forecast(counts: Floats, hours: Floats, rng: np.random.Generator) -> Rate:
    """The next hour's count and where it lies with 95 % confidence."""
    end = np.cumsum(hours)
    scale = end[-1]
    at = (end - hours / 2 - scale) / scale  # -1 to 0
    design = np.column_stack([np.ones_like(at), at])
    weight = 0.5 ** (np.arange(len(counts))[::-1] / HALF_LIFE)
    beta = np.array([np.log((counts.sum() + 0.5) / scale), 0.0])
    prior = np.array([1e-6, 1 / SLOPE**2])
    for _ in range(ROUNDS):
        mean = np.exp(np.clip(design @ beta, -20, 20)) * hours
        gradient = design.T @ (weight * (counts - mean)) - prior * beta * np.array([0, 1])
        curvature = (design * (weight * mean)[:, None]).T @ design + np.diag(prior)
        step = np.linalg.solve(curvature, gradient)
        beta = beta + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-8:
            break
    mean = np.exp(np.clip(design @ beta, -20, 20)) * hours
    spread = _spread(counts, mean, 2)
    # Discounted answers are fewer answers: the sandwich of the weighted fit, with the spread beyond Poisson's.
    bread = np.linalg.inv(curvature)
    meat = (design * (np.square(weight) * mean * spread)[:, None]).T @ design + np.diag(prior * np.array([0, 1]))
    ahead = np.array([1.0, min(0.5 / scale, 1.0)])
    middle, deviation = float(ahead @ beta), float(np.sqrt(ahead @ bread @ meat @ bread @ ahead))
    rates = np.exp(np.clip(rng.normal(middle, deviation, DRAWS), -20, 20))
    drawn = rng.negative_binomial(rates / (spread - 1), 1 / spread) if spread > 1 + 1e-9 else rng.poisson(rates)
    return Rate(float(np.exp(middle)), _middle(drawn.astype(np.float64)))


def _middle(draws: Floats) -> Interval:
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(float(low), float(high))
