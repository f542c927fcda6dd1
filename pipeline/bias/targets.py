"""What to collect: how many pictures of whom, until groups have their shares, and until a gap would be seen.

A picture that is added counts in every attribute at once. So for shares the smallest number of pictures is that of the attribute
which needs most: the others are met by whom these pictures show. How that is worked out for one attribute is closed form.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.bias.power import power
from secondlook.pipeline.core.comparison import Worse

Reals = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

MOST = 100_000_000  # pictures of a group; where these would not show a gap, nothing would


@dataclass(frozen=True)
class Shares:
    """V values of one attribute: pictures of each, and the share that each should have of those who say it; (V,) both, the latter adding up to 1."""

    have: Counts
    wanted: Reals


def least(one: Shares, slack: float = 0.0) -> float:
    """How many pictures to add at least, infinite where none are enough, so that no value is more than `slack` below its share.

    With slack 0 all shares are met exactly. Not rounded. A value whose share is 0 must have no pictures, unless slack allows it.

    >>> least(Shares(np.array([80, 20]), np.array([0.5, 0.5])))
    60.0
    """
    floor = np.maximum(one.wanted - slack, 0.0)
    total = float(one.have.sum())
    short = np.zeros(len(one.have), bool)
    size = total
    while True:
        lacking = (floor * size > one.have + 1e-9) & ~short
        if not lacking.any():
            return size - total
        short |= lacking
        rest = 1 - float(floor[short].sum())
        kept = total - float(one.have[short].sum())
        if rest <= 1e-12:
            return math.inf if kept > 0 else size - total
        size = max(size, kept / rest)


def together(attributes: Mapping[str, Shares], slack: float = 0.0) -> dict[str, Counts] | None:
    """How many pictures of each value of each attribute to add, as few as can be, so that all attributes meet their shares.

    The numbers of an attribute, (V,), add up to the same for all: these are the pictures, each of one value of each attribute, whichever go
    together. None where adding is not enough. slack: see `least`; whole pictures may miss it by less than one.
    """
    sizes = [least(one, slack) for one in attributes.values()]
    if not all(map(math.isfinite, sizes)):
        return None
    added = math.ceil(max(sizes, default=0.0) - 1e-9)
    return {name: _spread(one, added, slack) for name, one in attributes.items()}


def _spread(one: Shares, added: int, slack: float) -> Counts:
    """So many pictures over the values: first what each lacks, then where the shares are furthest."""
    total = int(one.have.sum()) + added
    floor = np.maximum(np.maximum(one.wanted - slack, 0.0) * total - one.have, 0.0)
    given = np.floor(floor + 1e-9)
    while (left := added - int(given.sum())) > 0:
        lack = np.maximum(np.maximum(one.wanted * total - one.have, floor) - given, 0.0)
        if left < len(lack) or not lack.sum():  # the last ones, one by one
            at = np.argsort(given - floor - lack * 1e-6, kind="stable")[:left]
            given[at] += 1
            continue
        share = np.floor(left * lack / lack.sum())
        given += np.minimum(share, left) if share.sum() else np.eye(len(lack))[int(np.argmax(lack))]
    return given.astype(np.int64)


def needed(
    rest: npt.ArrayLike,
    share: npt.ArrayLike,
    gap: float,
    alpha: float,
    wanted: float,
    *,
    worse: Worse = "higher",
    floor: float = 0.0,
) -> Reals:
    """How many pictures of a group show a gap so often, (G,), beside `rest` (G,) others whose share is `share` (G,); inf where none do.

    gap: size, in the direction that harms (`either`: in both). alpha: the p that a finding needs. wanted: the power. floor: the smallest
    difference that counts.
    """
    others, shares = (np.atleast_1d(np.asarray(one, np.float64)) for one in (rest, share))
    ways = {"higher": (1,), "lower": (-1,), "either": (1, -1)}[worse]
    found = [_needed(others, shares, way * gap, alpha, wanted, floor) for way in ways]
    return np.asarray(np.max(found, axis=0), np.float64)


def _needed(rest: Reals, share: Reals, gap: float, alpha: float, wanted: float, floor: float) -> Reals:
    """By halving the logarithm: power grows with n but for small steps, some step from below to above is found."""
    ends = np.clip(share + gap, 0, 1) == share + gap  # a share can't move beyond all or none
    low, high = np.ones(len(rest)), np.full(len(rest), float(MOST))
    found = ends & (power(high, rest, share, np.full(len(rest), gap), alpha, least=floor) >= wanted)
    while (open_ := np.flatnonzero(found & (high - low > np.maximum(1, 0.005 * low)))).size:
        middle = np.floor(np.sqrt(low[open_] * high[open_]))
        middle = np.where(middle <= low[open_], low[open_] + 1, middle)
        enough = power(middle, rest[open_], share[open_], np.full(len(open_), gap), alpha, least=floor) >= wanted
        high[open_], low[open_] = np.where(enough, middle, high[open_]), np.where(enough, low[open_], middle)
    return np.where(found, high, np.inf)
