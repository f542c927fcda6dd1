"""Weights for training: so that class and group say nothing of each other, and groups have the shares that they should have.

Kamiran and Calders 2012, "Data preprocessing techniques for classification without discrimination": a picture of group g and class y
weighs P(g) P(y) / P(g, y). With other shares in the place of P(g) the groups count as much as those say, too. What a rare
combination lacks in pictures its weights can't bring: they only make what there is heard, and the few the louder. So weights are
capped, and how many pictures they are worth is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.bias.grouping import Codes, Grouping
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.groups import NOT_SAID

To = Literal["independent", "equal", "reference"]
Reals = npt.NDArray[np.float64]

ROUNDS, CLOSE = 1000, 1e-9  # of raking: how often at most, and how near to the shares is near enough


@dataclass(frozen=True)
class Reweighed:
    """weights: (N,), mean 1. effective: how many pictures of weight 1 they are worth (Kish 1965). capped: pictures whose weight was cut."""

    weights: Reals
    effective: float
    capped: int

    @property
    def largest(self) -> float:
        """The largest weight."""
        return float(self.weights.max(initial=0.0))


def reweigh(group: npt.ArrayLike, label: npt.ArrayLike, target: npt.ArrayLike, most: float = float("inf")) -> Reweighed:
    """Weights of N pictures, of group (N,) in 0..G-1 and class (N,) in 0..K-1, for shares `target` (G,) of the groups.

    In each group the classes then have the shares that they have in all pictures. Combinations that no picture has can't be given any,
    and the others of the group do not make up for them. most: no weight is above this many times the mean.

    >>> reweigh([0, 0, 0, 1, 1, 1, 1, 1], [0, 0, 1, 0, 1, 1, 1, 1], [0.375, 0.625]).weights.round(3).tolist()
    [0.562, 0.562, 1.875, 1.875, 0.781, 0.781, 0.781, 0.781]
    """
    groups, labels, shares = np.asarray(group, np.int64), np.asarray(label, np.int64), np.asarray(target, np.float64)
    n = len(groups)
    if not n:
        return Reweighed(np.zeros(0), 0.0, 0)
    k = int(labels.max()) + 1
    both = np.bincount(groups * k + labels, minlength=len(shares) * k).reshape(len(shares), k)
    classes = both.sum(axis=0) / n
    there = shares * (both.sum(axis=1) > 0)  # a group without pictures can't be given its share
    wanted = there[:, None] / there.sum() * classes
    cell = np.divide(wanted * n, both, out=np.zeros_like(wanted), where=both > 0)
    weights = cell[groups, labels]
    weights /= weights.mean()
    capped = int((weights > most).sum())
    weights = _capped(weights, most)
    return Reweighed(weights, float(weights.sum() ** 2 / (weights**2).sum()), capped)


def _capped(weights: Reals, most: float) -> Reals:
    """Weights of mean 1 of which none is above `most`: what is cut is spread over the others, again until none is."""
    over = weights > most
    while over.any():
        rest = weights[~over].sum()
        if not rest:
            return np.ones_like(weights)
        weights = np.where(over, most, weights * (len(weights) - most * over.sum()) / rest)
        further = weights > most * (1 + 1e-12)
        if not (further & ~over).any():
            return weights
        over |= further
    return weights


def targets(
    grouping: Grouping, cells: Codes, n: npt.ArrayLike, to: To, reference: Mapping[str, Mapping[str, float]]
) -> Reals:
    """Shares (C,) that cells (C, A) with n (C,) pictures should have.

    independent: those that they have. equal: all the same. reference: attribute → value → share, for one attribute or several, each
    of which then has its shares, as near to what is there as can be (raking: Deming and Stephan 1940). Pictures that do not say an
    attribute keep their share of it. Raises UserError where the shares can't be reached by weighing the pictures that there are: those
    of two attributes that go together too closely.
    """
    counts = np.asarray(n, np.float64)
    if to == "equal":
        return np.full(len(cells), 1 / max(len(cells), 1))
    shares: Reals = counts / max(float(counts.sum()), 1.0)
    if to == "independent":
        return shares
    margins = [(at, its) for at, name in enumerate(grouping.attributes) if (its := reference.get(name))]
    wanted = [(cells[:, at], _margin(grouping, at, its, cells, shares)) for at, its in margins]
    return _raked(shares, wanted, [grouping.attributes[at] for at, _ in margins])


def _margin(grouping: Grouping, at: int, its: Mapping[str, float], cells: Codes, shares: Reals) -> Reals:
    values = grouping.values[at]
    have = np.bincount(cells[:, at], weights=shares, minlength=len(values))
    silent = have[values.index(NOT_SAID)] if NOT_SAID in values else 0.0
    wanted = np.array([silent if value == NOT_SAID else its.get(value, 0.0) * (1 - silent) for value in values])
    reachable = np.where(have > 0, wanted, 0.0)  # nobody is weighed into being there
    return np.asarray(reachable / reachable.sum())


def _raked(shares: Reals, wanted: Sequence[tuple[Codes, Reals]], names: Sequence[str]) -> Reals:
    found = shares.copy()
    for _ in range(ROUNDS):
        off = 0.0
        for place, margin in wanted:
            have = np.bincount(place, weights=found, minlength=len(margin))
            off = max(off, float(np.abs(have - margin).max()))
            found = found * np.divide(margin, have, out=np.zeros_like(margin), where=have > 0)[place]
        if off < CLOSE:
            return found
    raise UserError(
        f"the reference's shares of {' and '.join(names)} can't both be reached with the pictures that there are: some combinations "
        "have none; reweigh by one attribute"
    )
