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

from secondlook.pipeline.core.statistics import CALIBRATION_BINS

BINS = 4 * CALIBRATION_BINS  # of confidence that pictures are counted in; four of them make one of those that ECE is of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Error(NamedTuple):
    """Calibration error of G groups, (G,): as found, and what a perfectly calibrated model stays below by chance."""

    found: Floats
    chance: Floats


@dataclass(frozen=True)
class Bins:
    """What outcomes mean: outcome 2 b is confidence of bin b and wrong, 2 b + 1 the same and right.

    middle: (B,) mean confidence of the pictures of each bin, or its middle where that is not known.
    """

    middle: Floats

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the 2 B outcomes."""
        return tuple(f"{at:.3f} {what}" for at in self.middle for what in ("wrong", "right"))

    @property
    def off(self) -> Floats:
        """(2 B,) confidence less right of a picture with each outcome."""
        return np.asarray(np.repeat(self.middle, 2) - np.tile([0.0, 1.0], len(self.middle)), np.float64)


def bins(sums: Sequence[float] | None = None, counts: Sequence[int] | None = None) -> Bins:
    """BINS bins of equal width; with the sum of confidence and the number of pictures in each, their means are exact."""
    middle = (np.arange(BINS) + 0.5) / BINS
    if sums is None or counts is None:
        return Bins(middle)
    n = np.asarray(counts, np.float64)
    return Bins(np.where(n > 0, np.asarray(sums, np.float64) / np.maximum(n, 1), middle))


def place(confidence: npt.ArrayLike, right: npt.ArrayLike) -> Ints:
    """(N,) outcomes of pictures with these confidences, 0 to 1, and whether the model was right."""
    held = np.asarray(confidence, np.float64)
    at = np.clip(np.ceil(held * BINS).astype(np.int64) - 1, 0, BINS - 1)  # half-open from below, as ECE's are
    return np.asarray(2 * at + np.asarray(right, np.int64), np.int64)


def error(counts: Ints, held: Bins, rng: np.random.Generator, *, level: float = 0.95, draws: int = 200) -> Error:
    """ECE of G groups from their counts (G, 2 B), and its quantile `level` over draws of a calibrated model.

    The consistency resampling of Bröcker and Smith 2007: in each bin, right answers are drawn with the bin's confidence.
    """
    total, right = counts[:, 0::2] + counts[:, 1::2], counts[:, 1::2]
    fold = np.eye(CALIBRATION_BINS)[np.arange(len(held.middle)) * CALIBRATION_BINS // len(held.middle)]  # (B, 15)
    n = np.maximum(total.sum(axis=1), 1)

    def ece(hits: npt.NDArray[np.integer]) -> Floats:
        return np.asarray(np.abs((hits - total * held.middle) @ fold).sum(axis=-1) / n, np.float64)

    by_chance = np.array([ece(rng.binomial(total, np.clip(held.middle, 0, 1))) for _ in range(draws)])
    empty = total.sum(axis=1) == 0
    return Error(np.where(empty, np.nan, ece(right)), np.where(empty, np.nan, np.quantile(by_chance, level, axis=0)))
