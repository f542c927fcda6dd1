"""Two models on the same pictures: is the one better than the other, by how much, and how sure is it.

Each picture is judged twice, so only those count that one model has right and the other wrong: `gained` by the later model, or
`lost`. Comparing two accuracies as if they were of different pictures would throw that away, and find far less.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from secondlook.pipeline.core.statistics import EXACT_BELOW, Interval, exact, holm

DRAWS = 10_000
# Units, and among them discordant ones, below which a bootstrap has seen too little of what varies: where none is discordant, its
# interval is 0 to 0. Enumerated over all tables it covers 93 % or more from here on, 87 % at 40 units.
MANY, FEW = 100, 10

Reals = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Units(NamedTuple):
    """What is independent of one another, pictures or whole groups of copies, of U kinds.

    sums, size: (U,) the sum over such a unit's pictures, and how many these are. times: (U,) how many units are of this kind.
    """

    sums: Reals
    size: Reals
    times: Codes


@dataclass(frozen=True)
class Paired:
    """Two models on the same n pictures. before, after: their accuracies; gained, lost: pictures that only the later, or earlier, has right.

    difference: after minus before; interval: where it lies. p: that so much changed by chance (McNemar's exact test; groups of copies
    swap as a whole), of this comparison alone; adjusted: over all that was compared together, nan where it is alone.
    """

    n: int
    before: float
    after: float
    gained: int
    lost: int
    interval: Interval
    p: float
    adjusted: float = float("nan")

    @property
    def difference(self) -> float:
        """The later accuracy minus the earlier one."""
        return (self.gained - self.lost) / self.n if self.n else float("nan")

    def helped(self, alpha: float = 0.05) -> bool | None:
        """Whether the later model is better, or (False) worse; None, no claim, where the interval spans zero or p is above alpha."""
        p = self.p if np.isnan(self.adjusted) else self.adjusted
        if self.interval.low <= 0 <= self.interval.high or not p <= alpha:
            return None
        return self.difference > 0


def compare(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    copies: npt.ArrayLike | None = None,
    confidence: float = 0.95,
    draws: int = DRAWS,
) -> Paired:
    """Compare two models on N pictures: before, after (N,) whether each is right.

    copies: (N,) equal numbers for pictures that are copies of one another, -1 for one that has none; None: there are none. The interval
    is of the paired bootstrap's percentiles (Efron and Tibshirani 1993, section 13); of fewer than MANY units, or FEW that differ, it
    is `paired_interval`.
    """
    first, second = np.asarray(before, np.bool_), np.asarray(after, np.bool_)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"both models judge the same pictures; got {first.shape} and {second.shape}")
    n = len(first)
    delta = second.astype(np.int64) - first
    gained, lost = int((delta > 0).sum()), int((delta < 0).sum())
    if not n:
        return Paired(0, float("nan"), float("nan"), 0, 0, Interval(-1.0, 1.0), 1.0)
    kinds = units(delta, copies)
    apart = np.repeat(kinds.sums, kinds.times)
    if kinds.times.sum() < MANY or (apart != 0).sum() < FEW:
        interval = paired_interval(gained, lost, n, design_effect(kinds, (gained + lost) / n), confidence)
    else:
        tail = (1 - confidence) / 2
        low, high = np.quantile(bootstrap(kinds, rng, draws), [tail, 1 - tail])
        interval = Interval(float(low), float(high))
    return Paired(n, float(first.mean()), float(second.mean()), gained, lost, interval, swap_test(apart))


def corrected(found: Sequence[Paired]) -> list[Paired]:
    """The same, with `adjusted` by Holm over all of them: it holds however they depend on each other."""
    adjusted = holm([one.p for one in found]).tolist()
    return [dataclasses.replace(one, adjusted=p) for one, p in zip(found, adjusted, strict=True)]


def units(values: npt.ArrayLike, copies: npt.ArrayLike | None = None) -> Units:
    """Pictures' values (N,) as units, those that are alike counted; `copies` as `compare` has it."""
    told = np.asarray(values, np.float64)
    sums: Reals = told
    size: Reals = np.ones(len(told))
    if copies is not None:
        group = np.asarray(copies, np.int64)
        tied = group >= 0
        _, place = np.unique(group[tied], return_inverse=True)
        sums = np.concatenate([told[~tied], np.bincount(place, weights=told[tied])])
        size = np.concatenate([np.ones(int((~tied).sum())), np.bincount(place)])
    kinds, times = np.unique(np.stack([sums, size]), axis=1, return_counts=True)
    return Units(kinds[0], kinds[1], times.astype(np.int64))


def bootstrap(kinds: Units, rng: np.random.Generator, draws: int = DRAWS) -> Reals:
    """(draws,) means over pictures when as many units are drawn again, with replacement.

    Units of one kind can't be told apart, so a draw is one of a multinomial: what it costs does not grow with the pictures.
    """
    n = int(kinds.times.sum())
    drawn = rng.multinomial(n, kinds.times / n, size=draws)
    return np.asarray((drawn @ kinds.sums) / (drawn @ kinds.size), np.float64)


def design_effect(kinds: Units, square: float) -> float:
    """Variance of a mean over pictures beside that of as many independent ones (Kish 1965), at least 1.

    square: the mean of the pictures' squared values, which the sums of units don't tell. Where all pictures agree, nothing is seen of
    it: then as if each unit were one picture.
    """
    total = float(kinds.size @ kinds.times)
    mean = float(kinds.sums @ kinds.times) / total
    variance = square - mean**2
    if variance <= 0:
        return total / float(kinds.times.sum())
    between = float(kinds.times @ (kinds.sums - kinds.size * mean) ** 2)
    return max(1.0, between / (total * variance))


def paired_interval(gained: int, lost: int, n: int, deff: float = 1.0, confidence: float = 0.95) -> Interval:
    """Interval of (gained - lost) / n, the change of a share on the same n pictures.

    From Clopper and Pearson's limits of the two shares of discordant pictures: subtracted below 40 pictures, squared and added
    from there on (Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on
    paired data", with the correlation -sqrt(p q / ((1-p) (1-q))) that two shares of one multinomial have). Enumerated over all
    tables it covers at least nominally down to 5 pictures (tests/core/test_paired.py); Tango's score interval and squares of
    Wilson's limits did not. `deff`: variance beside that of independent pictures, 1 without copies: n counts for n / deff.
    """
    effective = n / deff
    p, q = gained / n, lost / n
    low, high = exact(np.array([p, q]) * effective, np.array([effective, effective]), confidence)
    if effective < EXACT_BELOW:
        return Interval(max(float(low[0] - high[1]), -1.0), min(float(high[0] - low[1]), 1.0))
    spread = p * (1 - p) * q * (1 - q)
    together = 2 * p * q / spread**0.5 if spread > 0 else 0.0
    down = (p - low[0]) ** 2 + together * (p - low[0]) * (high[1] - q) + (high[1] - q) ** 2
    up = (high[0] - p) ** 2 + together * (high[0] - p) * (q - low[1]) + (q - low[1]) ** 2
    return Interval(max(float(p - q - down**0.5), -1.0), min(float(p - q + up**0.5), 1.0))


def swap_test(deltas: npt.ArrayLike) -> float:
    """Exact p that as much or more changed, either way, if before and after were the same: each sign as likely as the other.

    deltas: (C,) gained minus lost of each cluster of copies; of a single picture 1 or -1. With single pictures only this is
    McNemar's exact test. With copies each cluster swaps as a whole, which is what is independent.
    """
    size = np.asarray(deltas, np.int64)
    size = size[size != 0]
    if not len(size):
        return 1.0
    found = abs(int(size.sum()))
    each, times = np.unique(np.abs(size), return_counts=True)
    total = int((each * times).sum())
    chance: Reals = np.ones(1)  # of each sum that is possible, from -total to total in steps of 2
    for one, n in zip(each.tolist(), times.tolist(), strict=True):
        steps = np.zeros(one * n + 1)
        steps[::one] = stats.binom.pmf(np.arange(n + 1), n, 0.5)
        chance = np.asarray(np.convolve(chance, steps), np.float64)
    sums = np.arange(len(chance)) * 2 - total
    return min(1.0, float(chance[np.abs(sums) >= found].sum()))
