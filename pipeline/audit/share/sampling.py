"""Which labels an audit sample holds: drawn with known probability, more often where the model is in doubt.

The best probabilities for a difference estimator are proportional to the deviation of what is asked, sqrt(p (1 - p)) for
a label that is wrong with probability p (Neyman 1934; Särndal, Swensson and Wretman 1992, section 12.2). They are mixed
with a uniform part, so that none is tiny: the model may be wrong exactly where it is sure. The draw is systematic along the scores
(Madow 1949) in shuffled strata, so that labels of every score are in it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.audit.labels.calibrated import UNSEEN, Calibrator
from secondlook.pipeline.core.errors import UserError

PILOT = 150  # answers up to which a first draw is uniform: they are what the curve is fitted on
# Part of the draw that ignores the score. Before the first answer, nobody knows whether the score is worth anything.
UNIFORM_BEFORE, UNIFORM_AFTER = 0.5, 0.1

STRATUM = 4.0  # draws from labels of about one score, that are shuffled among themselves

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """How a draw weighs labels by their score, as plain numbers.

    A label's inclusion probability is min(1, scale * size), and its size uniform + (1 - uniform) * d / mean, where d is
    sqrt(p (1 - p)) of the curve's p.
    """

    scale: float
    uniform: float
    mean: float
    slope: float
    intercept: float

    def inclusion(self, scores: npt.ArrayLike) -> Floats:
        """Probabilities (n,) that this draw takes labels with these scores (n,); nan is a label without a score."""
        return np.minimum(self.scale * _sizes(scores, self), 1.0)

    def as_json(self) -> dict[str, float]:
        """Plain numbers, from which `from_json` makes it again."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Design":
        """What `as_json` gave."""
        return cls(**{name: float(values[name]) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Drawn:
    """Rows (n,) that were drawn, in random order, and the design that says with what probability."""

    rows: Rows
    design: Design


def draw(
    scores: npt.ArrayLike,
    n: int,
    rng: np.random.Generator,
    *,
    taken: npt.ArrayLike | None = None,
    curve: Calibrator | None = None,
) -> Drawn:
    """At most n of N labels, none of those `taken` ((N,) bool) before.

    `scores`: (N,) p_error, nan where the model has none. `curve`: fitted on a pilot's answers. Without one, and without
    scores, up to PILOT labels are drawn uniformly; more than that by what is expected of a curve before the first answer.
    Raises UserError for n below 1.
    """
    held = np.asarray(scores, np.float64)
    free = np.flatnonzero(~np.asarray(taken, bool)) if taken is not None else np.arange(len(held))
    if n < 1:
        raise UserError(f"an audit sample has at least 1 picture, got {n}")
    uniform = UNIFORM_AFTER if curve is not None else UNIFORM_BEFORE
    if np.isnan(held).all() or (curve is None and n <= PILOT):
        uniform = 1.0
    design = _design(held, free, n, uniform, curve or UNSEEN)
    order = free[rng.permutation(len(free))]
    order = order[np.argsort(held[order], kind="stable")]  # nan comes last
    order = order[_shuffled(design.inclusion(held[order]), rng)]
    rows = _systematic(order, design.inclusion(held[order]), rng)
    return Drawn(rng.permutation(rows), design)


def united(before: npt.ArrayLike, now: npt.ArrayLike) -> Floats:
    """Inclusion probabilities (n,) of a sample that grew by a second draw from what the first had left."""
    first, second = np.asarray(before, np.float64), np.asarray(now, np.float64)
    return first + (1 - first) * second


def _sizes(scores: npt.ArrayLike, design: Design) -> Floats:
    p = Calibrator(design.slope, design.intercept, 0, 0)(scores)
    by_doubt = np.nan_to_num(np.sqrt(p * (1 - p)) / design.mean, nan=1.0) if design.mean > 0 else np.ones_like(p)
    return np.asarray(design.uniform + (1 - design.uniform) * by_doubt, np.float64)


def _design(scores: Floats, free: Rows, n: int, uniform: float, curve: Calibrator) -> Design:
    """The design that takes n of the free rows: those whose size is too large for it are taken for sure."""
    p = curve(scores)
    doubt = np.sqrt(p * (1 - p))
    mean = float(np.nanmean(doubt)) if not np.isnan(doubt).all() else 0.0
    plain = Design(1.0, uniform, mean, curve.slope, curve.intercept)
    sizes = np.sort(_sizes(scores[free], plain))
    total = np.cumsum(sizes)
    # With the k largest taken for sure, the others share n - k; the first k for which none of them exceeds 1 is right.
    scale = np.inf
    for sure in range(min(n, len(sizes)) if n < len(sizes) else 0):
        left = len(sizes) - sure
        scale = (n - sure) / float(total[left - 1])
        if scale * sizes[left - 1] <= 1:
            break
    if not np.isfinite(scale):
        scale = 1 / float(sizes[0]) if len(sizes) else 1.0
    return Design(scale, uniform, mean, curve.slope, curve.intercept)


def _shuffled(inclusion: Floats, rng: np.random.Generator) -> Rows:
    """Places in random order within strata of STRATUM expected draws, the strata in their order.

    A systematic draw along a fixed order is one of N / n samples: how it varies would hang on that order, and no
    formula for its variance could know.
    """
    stratum = np.floor(np.cumsum(inclusion) / STRATUM).astype(np.int64)
    return np.asarray(np.argsort(stratum + rng.random(len(inclusion))), np.int64)


def _systematic(order: Rows, inclusion: Floats, rng: np.random.Generator) -> Rows:
    """Rows where the running sum of inclusion passes a random start plus whole numbers."""
    ends = np.cumsum(inclusion)
    n = round(float(ends[-1])) if len(ends) else 0
    places = np.searchsorted(ends, rng.random() + np.arange(n), side="right")
    return np.asarray(order[np.unique(np.minimum(places, len(order) - 1))], np.int64)
