"""What a comparison could have seen: the smallest gap that n pictures would have shown, at the p that a finding needs.

The power of the very test that is made, Fisher's with Blaker's tails: given how many hits there are in all, those of the group
have Fisher's noncentral hypergeometric distribution (1935), and how many hits there are is averaged over.
For large groups all of that is normal, with the skewness of hits. What is promised is held against simulation in
docs/results/bias-simulation.md.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, ndtr, ndtri

from secondlook.pipeline.core.comparison import Worse

NORMAL = 225.0  # variance of a group's hits, above which it is taken as normal: deviation 15
REACH = 7.0  # deviations of hits that are looked at
# Of the number of hits in all, in deviations: seven parts that are as likely, spread as the whole is. Even parts, because what is found
# rises in steps that a few nodes of a Gauss rule meet or miss.
NODES = ndtri((np.arange(7) + 0.5) / 7)
NODES = NODES / NODES.std()
HALVINGS = 11  # of the gap: to 0.0005
CHUNK = 64  # groups at once, of about the same variance
TABLED = 2**20  # whose logarithms of factorials are kept: three times as fast
TIE = 1 + 1e-9

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


class _Case(NamedTuple):
    """G comparisons, (G,) each: pictures in the group and in the rest, and their shares, that of the group the larger one."""

    n: Floats
    rest: Floats
    share: Floats
    low: Floats


def smallest_gap(
    n: npt.ArrayLike,
    n_rest: npt.ArrayLike,
    share: npt.ArrayLike,
    alpha: float,
    power: float,
    *,
    worse: Worse = "either",
    least: float = 0.0,
) -> Floats:
    """The smallest difference between groups of `n` and the `n_rest` others, whose share is `share`, that is found so often.

    alpha: the p that a finding needs. least: the difference that it needs at least. `either`: the larger one of both directions.
    All (G,) or numbers. nan where no difference is found so often.

    >>> round(float(smallest_gap(400, 1600, 0.2, 0.001, 0.8)), 3)
    0.1
    """
    sizes = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (n, n_rest, share)))
    size, rest, low = (np.atleast_1d(one) for one in sizes)
    found = np.full(len(size), np.nan)
    for way in {"higher": (1,), "lower": (-1,), "either": (1, -1)}[worse]:
        # Fewer hits are more misses.
        at = low if way > 0 else 1 - low
        found = np.fmax(found, _smallest(size, rest, at, alpha, power, least))
    return found.reshape(sizes[0].shape)


def power(
    n: npt.ArrayLike,
    n_rest: npt.ArrayLike,
    share: npt.ArrayLike,
    gap: npt.ArrayLike,
    alpha: float,
    *,
    least: float = 0.0,
) -> Floats:
    """The chance that a difference `gap` between groups of `n` and the `n_rest` others, whose share is `share`, is found in its direction.

    All (G,) or numbers; a negative gap is a share that is lower in the group.
    """
    sizes = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (n, n_rest, share, gap)))
    size, rest, low, wide = (np.atleast_1d(one) for one in sizes)
    found = _power(size, rest, np.where(wide < 0, 1 - low, low), np.abs(wide), alpha, least)
    return found.reshape(sizes[0].shape)


def _smallest(n: Floats, rest: Floats, share: Floats, alpha: float, wanted: float, least: float) -> Floats:
    """By halving; of a chance that rises in steps, some step from below to above what is wanted."""
    high = 1 - share
    open_ = np.flatnonzero(_power(n, rest, share, high, alpha, least) >= wanted)
    low = np.zeros(len(n))
    for _ in range(HALVINGS):
        middle = (low[open_] + high[open_]) / 2
        enough = _power(n[open_], rest[open_], share[open_], middle, alpha, least) >= wanted
        high[open_], low[open_] = np.where(enough, middle, high[open_]), np.where(enough, low[open_], middle)
    found = np.full(len(n), np.nan)
    found[open_] = high[open_]
    return found


def _power(n: Floats, rest: Floats, share: Floats, gap: Floats, alpha: float, least: float) -> Floats:
    size, others = np.floor(n + 1e-9), np.floor(rest + 1e-9)
    high = np.clip(share + gap, 0.0, 1.0)
    out = np.zeros(len(size))
    usable = (size >= 1) & (others >= 1) & np.isfinite(share)
    whole = np.maximum(size + others, 1)
    mean = (size * high + others * share) / whole
    variance = size * others / whole * mean * (1 - mean)
    for rows in _chunks(np.flatnonzero(usable & (variance <= NORMAL)), variance):
        out[rows] = _exact(_Case(size[rows], others[rows], high[rows], share[rows]), alpha, least)
    rows = np.flatnonzero(usable & (variance > NORMAL))
    out[rows] = _normal(_Case(size[rows], others[rows], high[rows], share[rows]), alpha, least)
    return out


def _chunks(rows: Ints, variance: Floats) -> Iterator[Ints]:
    ordered = rows[np.argsort(variance[rows], kind="stable")]
    for begin in range(0, len(ordered), CHUNK):
        yield ordered[begin : begin + CHUNK]


def _exact(case: _Case, alpha: float, least: float) -> Floats:
    middle = case.n * case.share + case.rest * case.low
    spread = np.sqrt(case.n * case.share * (1 - case.share) + case.rest * case.low * (1 - case.low))
    odds = _logit(case.share) - _logit(case.low)
    found = np.zeros(len(case.n))
    for node in NODES:
        hits = np.clip(np.rint(middle + node * spread), 0, case.n + case.rest)
        found += _given(case.n, case.n + case.rest, hits, odds, alpha, least)
    return found / len(NODES)


def _logit(share: Floats) -> Floats:
    inside = np.clip(share, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(inside / (1 - inside)))


def _given(n: Floats, total: Floats, hits: Floats, odds: Floats, alpha: float, least: float) -> Floats:
    """The chance of a finding where there are so many hits in all; (G,) each."""
    mean = n * hits / total
    reach = REACH * np.sqrt(np.maximum(mean * (1 - hits / total) * (total - n) / np.maximum(total - 1, 1), 0)) + 20
    first = np.maximum(np.maximum(0, n + hits - total), np.floor(mean - reach))
    last = np.minimum(np.minimum(n, hits), np.ceil(mean + reach))
    n_, hits_, total_ = n[:, None], hits[:, None], total[:, None]
    x = first[:, None] + np.arange(int((last - first).max()) + 1)
    outside = x > last[:, None]
    x = np.minimum(x, last[:, None])
    log = -sum(map(_log_factorial, (x, hits_ - x, n_ - x, total_ - hits_ - n_ + x)), np.zeros(x.shape))
    log[outside] = -np.inf
    needed = _needed(_normed(log), alpha)
    gap = x / n_ - (hits_ - x) / (total_ - n_)
    finding = (np.arange(x.shape[1]) >= needed[:, None]) & (gap >= max(least, 1e-12))
    return np.asarray((_normed(log + odds[:, None] * x) * finding).sum(axis=1))


def _log_factorial(x: Floats) -> Floats:
    most = int(x.max(initial=0))
    return _table(most.bit_length())[x.astype(np.intp)] if most < TABLED else np.asarray(gammaln(x + 1))


@cache
def _table(bits: int) -> Floats:
    return np.asarray(gammaln(np.arange(2**bits) + 1.0))


def _normed(log: Floats) -> Floats:
    weight = np.exp(log - log.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def _needed(chance: Floats, alpha: float) -> Ints:
    """Place (G,) of the least count whose p, as tails.blaker has it, is at or below alpha on the upper side."""
    below, above = np.cumsum(chance, axis=1), np.cumsum(chance[:, ::-1], axis=1)[:, ::-1]
    place = (above > alpha).sum(axis=1)
    open_ = np.arange(len(chance))
    while len(open_):
        open_ = open_[place[open_] < chance.shape[1]]
        tail = above[open_, place[open_]]
        other = np.where(below[open_] <= tail[:, None] * TIE, below[open_], 0.0).max(axis=1, initial=0.0)
        open_ = open_[tail + other > alpha]
        place[open_] += 1
    return np.asarray(place, np.intp)


def _normal(case: _Case, alpha: float, least: float) -> Floats:
    total = case.n + case.rest
    both = case.n * case.rest / total  # a difference of shares times this is a difference of hits from what is expected
    mean = (case.n * case.share + case.rest * case.low) / total
    null = np.sqrt(both * mean * (1 - mean))
    skew = (1 - 2 * mean) * (case.rest - case.n) / total / null
    z = -ndtri(alpha / 2)
    needed = null * (z + skew * (z * z - 1) / 6) + 0.5  # Cornish and Fisher; half a hit, since hits are whole
    spread = case.share * (1 - case.share) * case.rest + case.low * (1 - case.low) * case.n
    return np.asarray(
        ndtr((both * (case.share - case.low) - np.maximum(needed, both * least)) / np.sqrt(both * spread / total))
    )
