"""Whether a model is surer than right on a group, from counts by bin of confidence and by whether it was right (SL403).

Overconfidence is mean confidence less accuracy: a group that is harder, and that the model knows to be harder, has none.
The calibration error (ECE) by group is beside it with what chance alone would give a group of that size, since it is above 0
for a perfect model too, and the more so the smaller the group: compared raw, small groups always look worst.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.bias import resampling
from secondlook.pipeline.bias.combined import Combined, differences
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.family import Comparison
from secondlook.pipeline.bias.members import Members, members
from secondlook.pipeline.bias.scores import Dealt, deal, smallest_gap
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Compared, Estimate
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import CALIBRATION_BINS, EXACT_BELOW, Interval

FINE, FINEST = 4, 16  # bins that each of ECE's is counted in, and the last of them, where most confidences are
MOST = 4.0  # times as many pictures as there are, at most, that vary as little once their confidence is known
TINY = 1e-9
METHOD = (
    "intervals: Wilson of the accuracy, confidences given, with as many pictures as vary as much once their confidence is known; "
    "differences after Zou and Donner; p: permutation of attributes against confidence less right, studentized, the largest of all groups"
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _edges() -> Floats:
    wide = 1 / CALIBRATION_BINS
    coarse = np.linspace(0, 1 - wide, FINE * (CALIBRATION_BINS - 1) + 1)
    return np.append(coarse[:-1], np.linspace(1 - wide, 1, FINEST + 1))


EDGES = _edges()  # (B + 1,) of the bins of confidence that pictures are counted in


class Error(NamedTuple):
    """Calibration error of G groups, (G,): as found, and what a perfectly calibrated model stays below by chance."""

    found: Floats
    chance: Floats


@dataclass(frozen=True)
class Bins:
    """What outcomes mean: outcome 2 b is confidence of bin b and wrong, 2 b + 1 the same and right.

    middle: (B,) mean confidence of the pictures of each bin, ascending, or its middle where that is not known.
    """

    middle: Floats

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the 2 B outcomes."""
        return tuple(f"{at:.4f} {what}" for at in self.middle for what in ("wrong", "right"))


def bins(sums: Sequence[float] | None = None, counts: Sequence[int] | None = None) -> Bins:
    """The bins between EDGES; with the sum of confidence and the number of pictures in each, their means are exact."""
    middle = (EDGES[:-1] + EDGES[1:]) / 2
    if sums is None or counts is None:
        return Bins(middle)
    n = np.asarray(counts, np.float64)
    return Bins(np.where(n > 0, np.asarray(sums, np.float64) / np.maximum(n, 1), middle))


def place(confidence: npt.ArrayLike, right: npt.ArrayLike) -> Ints:
    """(N,) outcomes of pictures with these confidences, 0 to 1, and whether the model was right."""
    held = np.asarray(confidence, np.float64)
    at = np.clip(np.searchsorted(EDGES, held, side="left") - 1, 0, len(EDGES) - 2)  # half-open from below, as ECE's are
    return np.asarray(2 * at + np.asarray(right, np.int64), np.int64)


def miscalibration(
    counts: Counts, settings: BiasSettings, rng: np.random.Generator, *, held: Bins | None = None
) -> Comparison:
    """How much surer than right the model is on each group, against the rest; the outcomes of `counts` are those of `held`.

    `n`: pictures, `k`: those on which it was right. `raw`, `against`, `effect`: mean confidence less accuracy, -1 to 1, above 0 is
    too sure. Beside them the calibration error and what chance alone would give. Raises ValueError for other outcomes.
    """
    used = held or bins()
    if counts.n.shape[1] != 2 * len(used.middle):
        raise ValueError(f"{len(used.middle)} bins have {2 * len(used.middle)} outcomes, got {counts.n.shape[1]}")
    every = members(counts.grouping, counts.cells, settings.depth)
    everything = counts.n.sum(axis=0)
    by_group = np.asarray(every.matrix @ counts.n, np.int64)
    size, total = by_group.sum(axis=1), int(everything.sum())
    large = (size >= settings.min_cell) & (total - size >= max(settings.min_cell, 1))
    known, mine = every.take(np.flatnonzero(large)), by_group[large]
    if not len(mine):
        return Comparison(n=total, k=int(everything[1::2].sum()), untested=int((size > 0).sum()))
    right = np.arange(counts.n.shape[1]) % 2 == 1
    units = resampling.effective(counts, right, np.ones(len(right), bool), known.matrix)
    chances = _Chances.of(everything)
    own, rest = _Group.of(mine, used, chances, units.n), _Group.of(everything - mine, used, chances, units.rest)
    errors = calibration_error(mine, used, rng)
    dealt = _dealt(counts, used, known, own.too_much - rest.too_much, settings, rng)
    groups = _compared(known.groups(), mine, own, rest, errors, dealt.p, settings.confidence)
    spread = np.sqrt(own.variance + rest.variance)
    alone = _Group.of(everything[None], used, chances, np.array([float(total)]))
    return Comparison(
        groups=groups,
        n=total,
        k=int(everything[right].sum()),
        overall=alone.too_sure(settings.confidence)[0],
        untested=int(((size > 0) & ~large).sum()),
        worst=max(groups, key=lambda one: one.effect.interval.low).group,
        method=f"{METHOD}, {settings.permutations:,} draws",
        within=tuple(dealt.adjusted.tolist()) if settings.correction == "permutation" else None,
        level=dealt.level if settings.correction == "permutation" else None,
        gaps=lambda alpha: smallest_gap(spread, alpha, settings.power, settings.least_gap),
    )


def _dealt(
    counts: Counts, held: Bins, known: Members, found: Floats, settings: BiasSettings, rng: np.random.Generator
) -> Dealt:
    """p of the groups' mean scores; 1 where they differ the other way once one of each group of copies stands for all of it."""
    score = np.repeat(held.middle, 2) - np.tile([0.0, 1.0], len(held.middle))
    n = resampling.one_each(counts, rng)
    sums = np.asarray(known.matrix @ (n @ score), np.float64)
    dealt = deal(n, score, known.matrix, rng, settings.permutations)
    size, total = np.asarray(known.matrix @ n.sum(axis=1)), int(n.sum())
    turned = (sums * total - float(n.sum(axis=0) @ score) * size) * found < 0
    return Dealt(np.where(turned, 1.0, dealt.p), np.where(turned, 1.0, dealt.adjusted), dealt.largest)


def _compared(
    names: Sequence[Group],
    counts: Ints,
    own: "_Group",
    rest: "_Group",
    error: Error,
    p: Floats,
    confidence: float,
) -> tuple[Compared, ...]:
    shift = own.sure - rest.sure
    columns = (
        own.too_sure(confidence),
        rest.too_sure(confidence),
        differences(rest.right, own.right, confidence, shift),
        p.tolist(),
        *(one.tolist() for one in (counts.sum(axis=1), counts[:, 1::2].sum(axis=1), *error)),
    )
    return tuple(
        Compared(name, n, k, raw, against, effect, p, calibration_error=found, calibration_chance=chance)
        for name, raw, against, effect, p, n, k, found, chance in zip(names, *columns, strict=True)
    )


class _Chances(NamedTuple):
    """By bin, (B,): the share that is right, of all pictures, and the variance of one picture's being right."""

    right: Floats
    variance: Floats

    @classmethod
    def of(cls, everything: Ints) -> "_Chances":
        """From all pictures' counts (2 B,), by ECE's bins; where one has a picture only, from all."""
        fold = _fold(len(everything) // 2)
        n, right = fold.T @ (everything[0::2] + everything[1::2]), fold.T @ everything[1::2]
        whole = right.sum() / n.sum()
        share = np.divide(right, n, out=np.full(len(n), whole), where=n > 0)
        plain = np.where(n > 1, share * (1 - share) * n / np.maximum(n - 1, 1), whole * (1 - whole))
        return cls(fold @ share, fold @ plain)


class _Group(NamedTuple):
    """G groups: mean confidence (G,), the share that is right, and its variance by what all pictures' bins say (G,)."""

    sure: Floats
    right: Combined
    variance: Floats

    @classmethod
    def of(cls, counts: Ints, held: Bins, chances: _Chances, units: Floats) -> "_Group":
        """Groups by their counts (G, 2 B); units: (G,) independent pictures."""
        total = counts[:, 0::2] + counts[:, 1::2]
        n = total.sum(axis=1)
        share, expected = counts[:, 1::2].sum(axis=1) / n, total @ chances.right / n
        # Once its confidence is known, a picture's being right varies less than among all: so many plain ones vary as much.
        known = np.maximum(total @ chances.variance / n, TINY)
        size = units * np.where(units < EXACT_BELOW, 1.0, np.clip(expected * (1 - expected) / known, 1.0, MOST))
        parts = Combined((share * size)[:, None], size[:, None], np.ones((len(n), 1)), np.zeros(len(n)))
        return cls(total @ held.middle / n, parts, np.maximum(expected * (1 - expected), TINY) / size)

    @property
    def too_much(self) -> Floats:
        """(G,) mean confidence less accuracy."""
        return self.sure - self.right.value

    def too_sure(self, confidence: float) -> list[Estimate]:
        """Mean confidence less accuracy."""
        return [
            Estimate(sure - one.value, Interval(sure - one.interval.high, sure - one.interval.low))
            for sure, one in zip(self.sure.tolist(), self.right.estimates(confidence), strict=True)
        ]


def calibration_error(
    counts: Ints, held: Bins, rng: np.random.Generator, *, level: float = 0.95, draws: int = 200
) -> Error:
    """ECE of G groups from their counts (G, 2 B), and its quantile `level` over draws of a calibrated model.

    The consistency resampling of Bröcker and Smith 2007: in each bin, right answers are drawn with the bin's confidence.
    """
    total, right = counts[:, 0::2] + counts[:, 1::2], counts[:, 1::2]
    fold = _fold(len(held.middle))
    n = np.maximum(total.sum(axis=1), 1)

    def ece(hits: npt.NDArray[np.integer]) -> Floats:
        return np.asarray(np.abs((hits - total * held.middle) @ fold).sum(axis=-1) / n, np.float64)

    by_chance = np.array([ece(rng.binomial(total, np.clip(held.middle, 0, 1))) for _ in range(draws)])
    empty = total.sum(axis=1) == 0
    return Error(np.where(empty, np.nan, ece(right)), np.where(empty, np.nan, np.quantile(by_chance, level, axis=0)))


def _fold(count: int) -> Floats:
    """(B, 15) 1 where one of B bins is part of one of ECE's: of EDGES by where they are, else evenly."""
    at = np.arange(count) * CALIBRATION_BINS // count
    if count == len(EDGES) - 1:
        at = np.minimum(np.arange(count) // FINE, CALIBRATION_BINS - 1)
    return np.asarray(np.eye(CALIBRATION_BINS)[at], np.float64)
