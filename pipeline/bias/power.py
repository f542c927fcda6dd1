"""What a comparison could have seen: the smallest gap that n pictures would have shown, at the p that a finding needs.

The power of the very test that is made, Fisher's with Blaker's tails: given how many hits there are in all, those of the group
have Fisher's noncentral hypergeometric distribution (1935), and how many hits there are is averaged over (Gauss-Hermite).
For large groups all of that is normal, with the skewness of hits. What is promised is held against simulation in docs/results/bias-simulation.md.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, ndtr, ndtri

from secondlook.pipeline.core.comparison import Worse

NORMAL = 225.0  # variance of a group's hits, above which it is taken as normal: deviation 15
REACH = 9.0  # deviations of hits that are looked at
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(5)  # of the number of hits in all
HALVINGS = 14  # of the gap: to 0.0001
TIE = 1 + 1e-9

Floats = npt.NDArray[np.float64]


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
    """The smallest difference between groups of `n` and the `n_rest` others, whose share is `share`, (G,) each, that is found so often.

    alpha: the p that a finding needs. least: the difference that it needs at least. `either`: the larger one of both directions.
    nan where no difference is found so often.

    >>> round(float(smallest_gap(400, 1600, 0.2, 0.001, 0.8)), 3)
    0.1
    """
    sizes = np.broadcast_arrays(*(np.atleast_1d(np.asarray(one, np.float64)) for one in (n, n_rest, share)))
    ways = {"higher": (1,), "lower": (-1,), "either": (1, -1)}[worse]
    both = np.array([_smallest(*sizes, alpha, power, way, least) for way in ways])
    with np.errstate(invalid="ignore"):
        found = np.fmax.reduce(both, axis=0)
    return found.reshape(np.broadcast_shapes(np.shape(n), np.shape(n_rest), np.shape(share)))


def power(
    n: npt.ArrayLike,
    n_rest: npt.ArrayLike,
    share: npt.ArrayLike,
    gap: npt.ArrayLike,
    alpha: float,
    *,
    least: float = 0.0,
) -> Floats:
    """Chances (G,) that a difference `gap` between groups of `n` and the `n_rest` others, whose share is `share`, is found in its direction."""
    sizes = (np.atleast_1d(np.asarray(one, np.float64)) for one in (n, n_rest, share, gap))
    size, rest, low, wide = (np.array(one) for one in np.broadcast_arrays(*sizes))
    size, rest = np.floor(size + 1e-9), np.floor(rest + 1e-9)
    out = np.zeros(len(size))
    usable = (size >= 1) & (rest >= 1) & np.isfinite(low)
    high = np.clip(low + wide, 0.0, 1.0)
    mean = (size * high + rest * low) / np.maximum(size + rest, 1)
    variance = size * rest / np.maximum(size + rest, 1) * mean * (1 - mean)
    for rows, found in ((usable & (variance > NORMAL), _normal), (usable & (variance <= NORMAL), _exact)):
        if rows.any():
            out[rows] = found(size[rows], rest[rows], low[rows], high[rows], np.sign(wide[rows]), alpha, least)
    return out


def _smallest(n: Floats, rest: Floats, share: Floats, alpha: float, wanted: float, way: int, least: float) -> Floats:
    """By halving; a chance that rises in steps is passed at the last step."""
    most = np.where(way > 0, 1 - share, share)
    low, high = np.zeros(len(n)), most.copy()
    reached = power(n, rest, share, way * most, alpha, least=least) >= wanted
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        enough = np.zeros(len(n), bool)
        enough[reached] = (
            power(n[reached], rest[reached], share[reached], way * middle[reached], alpha, least=least) >= wanted
        )
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(reached, high, np.nan)


def _exact(n: Floats, rest: Floats, low: Floats, high: Floats, way: Floats, alpha: float, least: float) -> Floats:
    total = n + rest
    spread = np.sqrt(n * high * (1 - high) + rest * low * (1 - low))
    middle = n * high + rest * low
    odds = np.log(np.clip(high, 1e-12, 1 - 1e-12) / np.clip(1 - high, 1e-12, 1)) - np.log(
        np.clip(low, 1e-12, 1 - 1e-12) / np.clip(1 - low, 1e-12, 1)
    )
    found = np.zeros(len(n))
    for node, weight in zip(NODES, WEIGHTS / WEIGHTS.sum(), strict=True):
        hits = np.clip(np.rint(middle + node * spread), 0, total)
        found += weight * _given(n, total, hits, odds, way, alpha, least)
    return found


def _given(n: Floats, total: Floats, hits: Floats, odds: Floats, way: Floats, alpha: float, least: float) -> Floats:
    """The chance of a finding where there are so many hits in all; (G,) each."""
    mean = n * hits / total
    reach = REACH * np.sqrt(np.maximum(mean * (1 - hits / total) * (total - n) / np.maximum(total - 1, 1), 0)) + 25
    floor = np.maximum(0, n + hits - total)
    first = np.maximum(floor, np.floor(mean - reach))
    # What the difference moves to must be in sight, too.
    last = np.minimum(np.minimum(n, hits), np.ceil(mean + reach))
    x = first[:, None] + np.arange(int((last - first).max()) + 1)
    inside = x <= last[:, None]
    x = np.minimum(x, last[:, None])
    n_, hits_, total_ = n[:, None], hits[:, None], total[:, None]
    log = -(gammaln(x + 1) + gammaln(hits_ - x + 1) + gammaln(n_ - x + 1) + gammaln(total_ - hits_ - n_ + x + 1))
    log = np.where(inside, log, -np.inf)
    chance, shifted = _normed(log), _normed(np.where(inside, log + odds[:, None] * x, -np.inf))
    gap = x / n_ - (hits_ - x) / (total_ - n_)
    finding = inside & (_blaker(chance) <= alpha) & (gap * way[:, None] >= max(least, 1e-12))
    return np.asarray((shifted * finding).sum(axis=1))


def _normed(log: Floats) -> Floats:
    weight = np.exp(log - log.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def _blaker(chance: Floats) -> Floats:
    """tails.blaker of each row; a count has an equal on the other side at most."""
    rarer = np.minimum(np.cumsum(chance, axis=1), np.cumsum(chance[:, ::-1], axis=1)[:, ::-1])
    order = np.argsort(rarer, axis=1, kind="stable")
    ranked, p = np.take_along_axis(rarer, order, 1), np.cumsum(np.take_along_axis(chance, order, 1), axis=1)
    tied = ranked[:, 1:] <= ranked[:, :-1] * TIE
    p[:, :-1] = np.where(tied, p[:, 1:], p[:, :-1])
    out = np.empty_like(p)
    np.put_along_axis(out, order, p, 1)
    return out


def _normal(n: Floats, rest: Floats, low: Floats, high: Floats, way: Floats, alpha: float, least: float) -> Floats:
    total = n + rest
    mean = (n * high + rest * low) / total
    # Of hits in the group given all hits: their deviation without a difference, and with it.
    null = np.sqrt(n * rest / total * mean * (1 - mean))
    skew = (1 - 2 * mean) * (rest - n) / total / null
    z = -ndtri(alpha / 2)
    needed = null * (z + way * skew * (z * z - 1) / 6) + 0.5  # Cornish and Fisher
    expected = n * rest / total * np.abs(high - low)
    deviation = np.sqrt(n * rest / total * (high * (1 - high) * rest + low * (1 - low) * n) / total)
    needed = np.maximum(needed, n * rest / total * least)
    return np.asarray(ndtr((expected - needed) / np.maximum(deviation, 1e-12)))
