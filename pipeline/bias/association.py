"""How strongly classes and groups go together: normalized pointwise mutual information, with intervals (SL404).

npmi(c, g) = ln lift / -ln p(c, g), where lift = p(c, g) / (p(c) p(g)): -1 never together, 0 independent, 1 only together
(Bouma 2009). With both margins fixed, which is what the permutation of labels over pictures holds fixed too, lift is
RR / (w RR + 1 - w), where RR is the ratio of the class's share in the group to its share in the rest and w the group's share of the
pictures; and npmi rises with lift. So both take their intervals from the score interval of the ratio (Koopman
1984, with the factor of Miettinen and Nurminen 1985), which says something where a pair was never seen. p is that of the class's
share in the group against the rest, as in shares.py: the two are independent where it is the same.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import ndtri

from secondlook.pipeline.bias import resampling, shares
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.family import Comparison
from secondlook.pipeline.bias.members import members
from secondlook.pipeline.bias.tails import Tails
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Compared, Estimate
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import Interval

PERMUTED = 50  # classes up to which each is permuted; more are held down by Holm, as permuting thousands takes long
EXPECTED = 5.0  # pictures that chance lets expect of a pair, below which it is not tested among so many (Cochran 1954)
FARTHEST = 30.0  # logarithm of a ratio that no counts reach
HALVINGS = 50

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Pairs(NamedTuple):
    """P pairs of a class and a group, (P,) each: pictures of both, of the class, of the group, and in all."""

    both: Floats
    of_class: Floats
    of_group: Floats
    all: Floats


class Ends(NamedTuple):
    """Lower and upper ends, (P,) each."""

    low: Floats
    high: Floats


def associate(counts: Counts, settings: BiasSettings, rng: np.random.Generator) -> dict[str, Comparison]:
    """Each class, which is an outcome of `counts`, with all groups; a class that no picture or every picture has is left out.

    `raw` and `effect` are npmi, `against` is 0; `lift` is beside it. `n` is of the group's pictures, `k` those of the class. Of
    more than PERMUTED classes, only pairs are tested of which chance lets expect EXPECTED pictures; `untested` counts the others
    with the groups that are too small.
    """
    sizes = counts.n.sum(axis=0)
    there = np.flatnonzero((sizes > 0) & (sizes < sizes.sum()))
    if len(there) > PERMUTED:
        return _many(counts, there, settings)
    found = {}
    for at in there.tolist():
        hit = np.arange(len(counts.outcomes)) == at
        one = shares.compare(counts, hit, settings=settings, rng=rng)
        found[counts.outcomes[at]] = _associated(counts, hit, one, settings)
    return found


def _associated(counts: Counts, hit: Flags, shared: Comparison, settings: BiasSettings) -> Comparison:
    """The same groups and p, told as npmi."""
    if not shared.groups:
        return dataclasses.replace(shared, gap=None, between=None, worst=None)
    inside = counts.membership([one.group for one in shared.groups])
    n = np.array([one.n for one in shared.groups], np.float64)
    k = np.array([one.k for one in shared.groups], np.float64)
    pairs = Pairs(k, np.full(len(n), float(shared.k)), n, np.full(len(n), float(shared.n)))
    groups = _told(shared.groups, pairs, _independent(counts, hit, inside, pairs), settings.confidence)
    gaps = shared.gaps
    return dataclasses.replace(
        shared,
        groups=groups,
        gap=None,
        between=None,
        worst=_worst(groups),
        method=f"intervals: score interval of the ratio of shares, both margins fixed; {shared.method.partition('; ')[2]}",
        gaps=(lambda alpha: _as_npmi(np.asarray(gaps(alpha), np.float64), pairs)) if gaps else None,
    )


def _independent(counts: Counts, hit: Flags, inside: "sp.csr_array", pairs: Pairs) -> Pairs:
    """As many pictures as vary as much, where some are copies."""
    if counts.copies is None:
        return pairs
    units = resampling.effective(counts, hit, np.ones(len(hit), bool), inside)
    rest = pairs.all - pairs.of_group
    both = pairs.both / pairs.of_group * units.n
    others = (pairs.of_class - pairs.both) / rest * units.rest
    return Pairs(both, both + others, units.n, units.n + units.rest)


def _told(groups: tuple[Compared, ...], pairs: Pairs, independent: Pairs, confidence: float) -> tuple[Compared, ...]:
    lifts = _lift_ends(pairs, independent, confidence)
    ends = Ends(*(_npmi(end, pairs) for end in lifts))
    nothing = Estimate(0.0, Interval(0.0, 0.0))
    told = []
    for one, value, ratio in zip(groups, _estimates(npmi(pairs), ends), _estimates(lift(pairs), lifts), strict=True):
        told.append(dataclasses.replace(one, raw=value, against=nothing, effect=value, lift=ratio))
    return tuple(told)


def _estimates(value: Floats, ends: Ends) -> list[Estimate]:
    rows = zip(value.tolist(), ends.low.tolist(), ends.high.tolist(), strict=True)
    # Rounding alone can put a value beyond its end.
    return [Estimate(one, Interval(min(low, one), max(high, one))) for one, low, high in rows]


def _worst(groups: tuple[Compared, ...]) -> Group | None:
    """The group that surely goes together with the class, or surely does not, most."""
    if not groups:
        return None
    return max(groups, key=lambda one: max(one.effect.interval.low, -one.effect.interval.high)).group


def _as_npmi(gap: Floats, pairs: Pairs) -> Floats:
    """The npmi of a group whose share of the class is so far from the rest's: the larger one of both directions."""
    rest = (pairs.of_class - pairs.both) / (pairs.all - pairs.of_group)
    weight = pairs.of_group / pairs.all
    found = []
    for share in (rest + gap, rest - gap):
        inside = np.clip(share, 0, 1)
        frequent = weight * inside + (1 - weight) * rest
        both = Pairs(inside * pairs.of_group, frequent * pairs.all, pairs.of_group, pairs.all)
        found.append(np.where((share >= 0) & (share <= 1), np.abs(npmi(both)), -np.inf))
    most = np.maximum(*found)
    return np.where(np.isfinite(most), most, np.nan)


def _many(counts: Counts, there: Ints, settings: BiasSettings) -> dict[str, Comparison]:
    """Thousands of classes: pairs of which enough pictures are expected, with Holm over those of a class."""
    n, sizes = counts.n.sum(axis=1), counts.n.sum(axis=0)[there]
    total = int(n.sum())
    every = members(counts.grouping, counts.cells, settings.depth)
    of_group = np.asarray(every.matrix @ n)
    large = (of_group >= settings.min_cell) & (total - of_group >= settings.min_cell)
    known, of_group = every.take(np.flatnonzero(large)), of_group[large]
    both = np.asarray(known.matrix @ counts.n[:, there])  # (G, M)
    could = np.outer(of_group, sizes) >= EXPECTED * total
    small, names = int(((np.asarray(every.matrix @ n) > 0) & ~large).sum()), known.groups()
    found = {}
    for column, (at, size) in enumerate(zip(there.tolist(), sizes.tolist(), strict=True)):
        rows = np.flatnonzero(could[:, column])
        p = Tails(total, size).p(both[rows, column], of_group[rows])
        hit = np.arange(len(counts.outcomes)) == at
        blank = Estimate(np.nan, Interval(np.nan, np.nan))
        groups = tuple(
            Compared(names[row], int(of_group[row]), int(both[row, column]), blank, blank, blank, float(chance))
            for row, chance in zip(rows.tolist(), p.tolist(), strict=True)
        )
        method = f"; p: Fisher's exact test, Holm over {len(rows):,} of {len(names):,} groups: those where chance lets expect {EXPECTED:g} pictures of this class"
        plain = Comparison(groups=groups, n=total, k=size, untested=small + len(names) - len(rows), method=method)
        found[counts.outcomes[at]] = _associated(counts, hit, plain, settings)
    return found


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


def _lift_ends(pairs: Pairs, independent: Pairs, confidence: float) -> Ends:
    """Interval of the lift, both margins fixed."""
    weight = pairs.of_group / pairs.all
    return Ends(*(_lift_of(end, weight) for end in _ratio_ends(independent, confidence)))


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
