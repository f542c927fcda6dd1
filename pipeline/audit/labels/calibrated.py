"""From a score to a probability: `p_error` calibrated on audit answers, once there are enough of them.

Until then it is a score: it ranks, and says nothing of how many labels are wrong. The map is a logistic curve on the
score's logit (Platt 1999; of two figures that 100 answers can carry), weighted by inverse inclusion probability, as
audit answers are mostly of doubted labels. What it was chosen against: docs/results/share.md.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from secondlook.pipeline.core.errors import UserError

NEEDED = 100  # answers, below which a score stays a score
EDGE = 1e-4  # scores are kept this far from 0 and 1, where the logit has no end
# What is expected of a curve before the first answer, as normal priors (mean, deviation), so that answers without one
# wrong label, or a score that divides them perfectly, still give a curve. About the means of four sets of scores of real labels.
SLOPE, INTERCEPT = (1.5, 1.5), (-1.5, 3.0)
NEAR = (0.5, 1.0)  # deviations of a group's curve from that of all
ROUNDS, SETTLED = 100, 1e-9

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NotYet:
    """Too few answers for a probability: `answers` of `needed`."""

    answers: int
    needed: int = NEEDED


@dataclass(frozen=True)
class Calibrator:
    """p = sigmoid(slope * logit(score) + intercept), from so many `answers`, of which `wrong` were wrong labels."""

    slope: float
    intercept: float
    answers: int
    wrong: int

    def __call__(self, p_error: npt.ArrayLike) -> Floats:
        """Probabilities (n,) that labels are wrong, of scores (n,) in 0..1; nan stays nan. They keep the scores' order."""
        return np.asarray(expit(self.slope * logits(p_error) + self.intercept), np.float64)

    def as_json(self) -> dict[str, float | int]:
        """Plain numbers, from which `from_json` makes it again."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Calibrator":
        """What `as_json` gave."""
        return cls(float(values["slope"]), float(values["intercept"]), int(values["answers"]), int(values["wrong"]))


UNSEEN = Calibrator(SLOPE[0], INTERCEPT[0], 0, 0)  # what is expected before the first answer: to draw by, not to report


def fit(
    p_error: npt.ArrayLike, wrong: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, needed: int = NEEDED
) -> Calibrator | NotYet:
    """The curve from n audit answers, or that there are fewer than `needed`.

    `p_error`: (n,) scores in 0..1. `wrong`: (n,) whether the adjudicated label contradicts the given one. `weight`: (n,),
    positive, inverse inclusion probabilities up to a factor; None: all alike. Raises UserError for what is none of that.

    >>> fit([0.1] * 60, [False] * 60)
    NotYet(answers=60, needed=100)
    >>> curve = fit([0.1] * 60 + [0.9] * 60, [False] * 60 + [True] * 60)
    >>> curve([0.1, 0.9]).round(2)
    array([0., 1.])
    """
    scores, truth = np.asarray(p_error, np.float64), np.asarray(wrong, bool)
    weights = np.ones(len(scores)) if weight is None else np.asarray(weight, np.float64)
    _check(scores, truth, weights)
    if len(scores) < needed:
        return NotYet(len(scores), needed)
    fitted = curve(logits(scores), truth.astype(np.float64), weights)
    return Calibrator(fitted.slope, fitted.intercept, len(scores), int(truth.sum()))


def logits(p_error: npt.ArrayLike) -> Floats:
    """Scores in 0..1 on the scale that the curve is straight on."""
    return np.asarray(logit(np.clip(np.asarray(p_error, np.float64), EDGE, 1 - EDGE)), np.float64)


def _check(scores: Floats, truth: npt.NDArray[np.bool_], weights: Floats) -> None:
    if scores.ndim != 1 or not scores.shape == truth.shape == weights.shape:
        raise UserError(
            f"scores, answers and weights go row by row; got shapes {scores.shape}, {truth.shape} and {weights.shape}"
        )
    if not ((scores >= 0) & (scores <= 1)).all():
        raise UserError(f"scores lie between 0 and 1, got {scores[~((scores >= 0) & (scores <= 1))][0]:g}")
    if not ((weights > 0) & np.isfinite(weights)).all():
        raise UserError("weights are positive and finite numbers")


class Curve(NamedTuple):
    """p = sigmoid(slope * x + intercept)."""

    slope: float
    intercept: float


def curve(x: Floats, wrong: Floats, weight: Floats, expected: Curve | None = None) -> Curve:
    """The most probable curve of n answers, by Newton's method; a score never lowers the probability.

    `x`: (n,) logits of scores. `wrong`: (n,), 0 to 1. `weight`: (n,), scaled to the answers' effective number (Kish 1965), so
    that a few heavy ones don't outvote what is expected: `expected`, or else SLOPE and INTERCEPT.
    """
    weight = _effective(weight)
    design = np.stack([x, np.ones_like(x)])
    mean, precision = _prior(expected)
    at = _mode(design, wrong, weight, mean, precision)
    if at[0] < 0:
        at = _mode(design[1:], wrong, weight, mean[1:], precision[1:])
        return Curve(0.0, float(at[0]))
    return Curve(float(at[0]), float(at[1]))


def leverage(x: Floats, weight: Floats, fitted: Curve, expected: Curve | None = None) -> Floats:
    """How much each answer draws the curve to itself, 0 to 1, (n,): its residual is too small by that part."""
    p = expit(fitted.slope * x + fitted.intercept)
    spread = _effective(weight) * p * (1 - p)
    design = np.stack([x, np.ones_like(x)])
    inverse = np.linalg.inv((design * spread) @ design.T + np.diag(_prior(expected)[1]))
    return np.asarray(spread * np.einsum("in,ij,jn->n", design, inverse, design), np.float64)


def _effective(weight: Floats) -> Floats:
    return np.asarray(weight * weight.sum() / np.square(weight).sum(), np.float64)


def _prior(expected: Curve | None) -> tuple[Floats, Floats]:
    """Means and precisions of slope and intercept."""
    if expected is None:
        return np.array([SLOPE[0], INTERCEPT[0]]), np.array([SLOPE[1], INTERCEPT[1]]) ** -2.0
    return np.array(expected), np.array(NEAR) ** -2.0


def _mode(design: Floats, y: Floats, weight: Floats, mean: Floats, precision: Floats) -> Floats:
    def loss(at: Floats) -> float:
        line = at @ design
        fits = weight @ (np.logaddexp(0.0, line) - y * line)
        return float(fits + precision @ np.square(at - mean) / 2)

    at, lowest = mean.copy(), loss(mean)
    for _ in range(ROUNDS):
        p = expit(at @ design)
        gradient = design @ (weight * (p - y)) + precision * (at - mean)
        curvature = (design * (weight * p * (1 - p))) @ design.T + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while loss(at - size * step) > lowest and size > SETTLED:
            size /= 2
        at = at - size * step
        lowest = loss(at)
        if np.abs(size * step).max() < SETTLED:
            break
    return at
