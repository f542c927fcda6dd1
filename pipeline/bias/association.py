"""How strongly classes and groups go together: normalized pointwise mutual information, with intervals (SL404).

npmi(c, g) = ln lift / -ln p(c, g), where lift = p(c, g) / (p(c) p(g)): -1 never together, 0 independent, 1 only together
(Bouma 2009). With both margins fixed, which is what the permutation of labels over pictures holds fixed too, lift is
RR / (w RR + 1 - w), where RR is the ratio of the class's share in the group to its share in the rest and w the group's share of the
pictures; and npmi rises with lift. So both take their intervals from the score interval of the ratio (Koopman
1984, with the factor of Miettinen and Nurminen 1985), which says something where a pair was never seen.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, ndtr, ndtri

EXPECTED = 5.0  # pictures that chance lets expect of a pair, below which it is not tested (Cochran 1954)
EXACT_UP_TO = 100.0  # deviation of a count, above which its tail is the normal one
FARTHEST = 30.0  # logarithm of a ratio that no counts reach
HALVINGS = 50

Floats = npt.NDArray[np.float64]


class Pairs(NamedTuple):
    """Pairs of a class and a group, (P,) each: how many pictures are of both, of the class, of the group, and in all."""

    both: Floats
    of_class: Floats
    of_group: Floats
    all: Floats


class Ends(NamedTuple):
    """Lower and upper ends, (P,) each."""

    low: Floats
    high: Floats


def lift(pairs: Pairs) -> Floats:
    """(P,) how many times as often a class and a group go together as by chance; nan where one of them is empty."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(pairs.both * pairs.all / (pairs.of_class * pairs.of_group), np.float64)


def npmi(pairs: Pairs) -> Floats:
    """(P,) normalized pointwise mutual information, -1 to 1.

    >>> npmi(Pairs(*np.array([[10.0], [10.0], [10.0], [100.0]])))
    array([1.])
    """
    return _npmi(lift(pairs), pairs)


def lift_ends(pairs: Pairs, confidence: float) -> Ends:
    """Interval of the lift, both margins fixed."""
    ratio = _ratio_ends(pairs, confidence)
    weight = pairs.of_group / pairs.all
    return Ends(*(_lift_of(end, weight) for end in ratio))


def npmi_ends(pairs: Pairs, confidence: float) -> Ends:
    """Interval of the normalized pointwise mutual information, both margins fixed."""
    return Ends(*(_npmi(end, pairs) for end in lift_ends(pairs, confidence)))


def fisher(pairs: Pairs) -> Floats:
    """(P,) p of Fisher's exact test: twice the smaller tail of the hypergeometric distribution, at most 1.

    Where the count's deviation exceeds EXACT_UP_TO, the tail is the normal one with continuity correction.
    """
    mean = pairs.of_class * pairs.of_group / pairs.all
    left = np.maximum(pairs.all - 1, 1)
    spread = np.sqrt(mean * (1 - pairs.of_class / pairs.all) * (pairs.all - pairs.of_group) / left)
    with np.errstate(divide="ignore", invalid="ignore"):
        normal = 2 * ndtr(-np.maximum(np.abs(pairs.both - mean) - 0.5, 0) / spread)
    p = np.where(spread > 0, normal, 1.0)
    small = (spread > 0) & (spread <= EXACT_UP_TO)
    p[small] = 2 * _tail(Pairs(*(one[small] for one in pairs)), pairs.both[small] >= mean[small])
    return np.asarray(np.minimum(p, 1.0), np.float64)


def _npmi(ratio: Floats, pairs: Pairs) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(ratio)
        chance = np.log(pairs.of_class / pairs.all) + np.log(pairs.of_group / pairs.all)
        value = log / -(log + chance)
    value = np.where(ratio == 0, -1.0, value)
    return np.asarray(np.clip(np.where(log + chance >= 0, 1.0, value), -1.0, 1.0), np.float64)


def _lift_of(ratio: Floats, weight: Floats) -> Floats:
    """The lift of a ratio of shares: of the group to the rest."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = ratio / (weight * ratio + 1 - weight)
    return np.where(np.isinf(ratio), 1 / weight, found)


def _tail(pairs: Pairs, above: npt.NDArray[np.bool_]) -> Floats:
    """Probability of the observed count or one farther from the mean, on its side."""
    mirrored = np.where(above, pairs.both, pairs.of_group - pairs.both)  # the same question from the other end
    drawn, hits = pairs.of_group, np.where(above, pairs.of_class, pairs.all - pairs.of_class)
    term = np.exp(
        _log_choose(hits, mirrored) + _log_choose(pairs.all - hits, drawn - mirrored) - _log_choose(pairs.all, drawn)
    )
    total, at = term.copy(), mirrored.copy()
    while (going := term > 1e-17 * total).any():
        up = (hits - at) * (drawn - at) / ((at + 1) * (pairs.all - hits - drawn + at + 1))
        term = np.where(going, term * np.maximum(up, 0), 0.0)
        total += term
        at += 1
    return total


def _log_choose(n: Floats, k: Floats) -> Floats:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), np.float64)


def _ratio_ends(pairs: Pairs, confidence: float) -> Ends:
    """Ratios of the class's share in the group to its share in the rest that the counts don't reject."""
    hits, n = pairs.both, pairs.of_group
    others, rest = pairs.of_class - hits, pairs.all - n
    z = float(ndtri(0.5 + confidence / 2))
    middle = np.log((hits + 0.5) / (n + 0.5)) - np.log((others + 0.5) / (rest + 0.5))
    ends = []
    for way in (-1, 1):
        near, far = middle.copy(), middle + way * FARTHEST
        for _ in range(HALVINGS):
            at = (near + far) / 2
            beyond = _score(hits, n, others, rest, np.exp(at)) * -way > z
            near, far = np.where(beyond, near, at), np.where(beyond, at, far)
        ends.append(np.exp((near + far) / 2))
    return Ends(np.where(hits == 0, 0.0, ends[0]), np.where(others == 0, np.inf, ends[1]))


def _score(hits: Floats, n: Floats, others: Floats, rest: Floats, ratio: Floats) -> Floats:
    """Deviations of the counts from a ratio of shares, with the shares that are most likely under it."""
    a, c = (n + rest) * ratio, hits + others
    b = n * ratio + hits + rest + others * ratio
    second = (b - np.sqrt(np.maximum(b * b - 4 * a * c, 0))) / (2 * a)
    first = np.minimum(second * ratio, 1)
    variance = (first * (1 - first) / n + ratio**2 * second * (1 - second) / rest) * (n + rest) / (n + rest - 1)
    off = hits / n - ratio * others / rest
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(off == 0, 0.0, off / np.sqrt(variance)), np.float64)
