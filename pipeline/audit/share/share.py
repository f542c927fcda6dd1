"""The share of labels that an adjudicated label contradicts, with a 95 % interval, from a sample of answers.

The model looks at all N labels, people at n of them. The estimate is the mean of what the model expects of all, plus the
weighted mean of how far it was off where people looked: the difference estimator of survey sampling (Särndal, Swensson
and Wretman 1992), which is prediction-powered inference (Angelopoulos et al. 2023) for labels drawn with unequal
probability. What the model expects comes from a curve that is fitted on the answers (pipeline.audit.labels.calibrated), so that
a score that tells nothing costs nothing: the fitted slope is the tuning of power.

The interval is Wilson's idea (1927) for this estimator: all shares that the answers do not reject, where a share is
thought of as the curve shifted until its mean is that share. It leans to the right side where errors are rare, and says
something where none was seen. Coverage in simulation, and where it fails: docs/results/share.md.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import t as student

from secondlook.pipeline.audit.labels.calibrated import Curve, curve, leverage, logits
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.statistics import Interval, wilson

LEAST = 30  # answers below which a group has no share of its own
TRUST = 10.0  # answers that the curve's own variance counts for beside the residuals'
FEW = 10  # wrong labels seen, below which the curve is not trusted for the lower end
CELLS = 1000  # that the scores of all labels are summed up in for the interval's ends
FARTHEST = 40.0  # shift of a curve's logit that no answers reach
EDGE = 1e-9  # shares that a curve is shifted to
NO_SCORE = 0.5  # for all labels where there is no model: then the curve is flat, and the estimate a weighted mean

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Share:
    """A share, 0 to 1, of `population` labels, from `answers` answers, `wrong` of which contradict the label.

    `wrong` is not whole where several people's answers are averaged. `interval` is of 95 % confidence.
    """

    value: float
    interval: Interval
    answers: int
    wrong: float
    population: int

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return (self.interval.high - self.interval.low) / 2


class Answers(NamedTuple):
    """n answers of an audit sample, row by row.

    `row` (n,): their place among the N labels that were drawn from. `wrong` (n,): 0 or 1, or the part of several people
    who contradict the label. `inclusion` (n,): the probability, above 0 and at most 1, that a label is drawn and answered.
    """

    row: npt.NDArray[np.int64]
    wrong: Floats
    inclusion: Floats


def share(scores: npt.ArrayLike, answers: Answers, confidence: float = 0.95) -> Share:
    """The share of N labels that is wrong.

    `scores`: (N,) p_error of every label that was drawn from, nan where the model has none. Where not all that was drawn
    is answered, what is missing is taken to be like the rest of its score. Raises UserError without an answer, or where
    answers and scores don't fit.

    >>> half = Answers(np.arange(50), np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 10), np.full(50, 0.5))
    >>> found = share(np.full(100, np.nan), half)
    >>> round(found.value, 3), round(found.interval.low, 3), round(found.interval.high, 3)
    (0.2, 0.129, 0.296)
    """
    known = filled(scores)
    given = _checked(answers, len(known))
    return _estimate(logits(known), given, None, confidence)


def shares(scores: npt.ArrayLike, answers: Answers, group: npt.ArrayLike, confidence: float = 0.95) -> dict[int, Share]:
    """The share in each group that has at least LEAST answers, by group.

    `group`: (N,) index of each label's group, such as its class. The curve of all answers is where a group's own begins.
    """
    known, groups = filled(scores), np.asarray(group)
    given = _checked(answers, len(known))
    if groups.shape != known.shape:
        raise UserError(f"scores and groups go row by row; got shapes {known.shape} and {groups.shape}")
    x = logits(known)
    whole = curve(x[given.row], given.wrong, 1 / given.inclusion)
    found = {}
    for one in np.unique(groups[given.row]).tolist():
        inside, mine = groups == one, groups[given.row] == one
        if mine.sum() < LEAST:
            continue
        place = np.cumsum(inside) - 1
        part = Answers(place[given.row[mine]], given.wrong[mine], given.inclusion[mine])
        found[one] = _estimate(x[inside], part, whole, confidence)
    return found


def filled(scores: npt.ArrayLike) -> Floats:
    """Scores (N,) without a gap: a label that the model says nothing of gets the mean of the others."""
    known = np.asarray(scores, np.float64)
    missing = np.isnan(known)
    if not missing.any():
        return known
    return np.where(missing, NO_SCORE if missing.all() else known[~missing].mean(), known)


def _checked(answers: Answers, n: int) -> Answers:
    row = np.asarray(answers.row, np.int64)
    wrong, inclusion = np.asarray(answers.wrong, np.float64), np.asarray(answers.inclusion, np.float64)
    if not len(row):
        raise UserError("a share needs answers, got none")
    if not row.shape == wrong.shape == inclusion.shape or row.ndim != 1:
        raise UserError(f"rows, answers and inclusion go row by row; got {row.shape}, {wrong.shape}, {inclusion.shape}")
    if row.min() < 0 or row.max() >= n or len(np.unique(row)) != len(row):
        raise UserError(f"answers are of different rows from 0 to {n - 1}")
    if not ((inclusion > 0) & (inclusion <= 1)).all():
        raise UserError("inclusion probabilities are above 0 and at most 1")
    if not ((wrong >= 0) & (wrong <= 1)).all():
        raise UserError("an answer is right (0), wrong (1), or in between")
    return Answers(row, wrong, inclusion)


def _estimate(x: Floats, answers: Answers, expected: Curve | None, confidence: float) -> Share:
    """The estimate of labels whose scores have the logits x (N,)."""
    mine, wrong = x[answers.row], answers.wrong
    weight = 1 / answers.inclusion
    weight = weight / weight.sum()
    fitted = curve(mine, wrong, weight, expected)
    line = fitted.slope * mine + fitted.intercept
    p = expit(line)
    value = float(np.clip(expit(fitted.slope * x + fitted.intercept).mean() + weight @ (wrong - p), 0, 1))
    # The sample is part of the population: what is surely in it adds no doubt.
    open_part = np.square(weight) * (1 - answers.inclusion)
    lever = leverage(mine, weight, fitted, expected)
    seen = open_part * np.square(wrong - p) / (1 - lever)
    thought = float((open_part * p * (1 - p) / (1 - lever)).sum())
    # How many answers the residuals' variance rests on; not more than there are of the rarer kind.
    behind = float(seen.sum() ** 2 / np.square(seen).sum()) if seen.any() else 0.0
    behind = min(behind, float(wrong.sum()), float(len(wrong) - wrong.sum()))
    mixed = (behind * float(seen.sum()) + TRUST * thought) / (behind + TRUST)
    interval = _not_rejected(x, line, open_part, fitted, value, mixed, _quantile(confidence, behind + TRUST))
    if wrong.sum() < FEW:
        effective = 1 / float(np.square(weight).sum())
        plain = wilson(min(float(weight @ wrong), 1.0) * effective, effective, confidence)  # weights sum to 1, almost
        interval = Interval(min(interval.low, plain.low), interval.high)
    return Share(value, interval, len(mine), float(wrong.sum()), len(x))


def _quantile(confidence: float, freedom: float) -> float:
    return float(student.ppf(0.5 + confidence / 2, freedom))


def _not_rejected(
    x: Floats, line: Floats, open_part: Floats, fitted: Curve, value: float, variance: float, quantile: float
) -> Interval:
    """All means of shifted curves that are at most `quantile` of their own deviations from the estimate.

    `line` (n,): the curve's logits of the answers; `open_part` (n,): what an answer's variance counts for.
    """
    starts = np.unique(np.linspace(0, len(x), min(CELLS, len(x)), endpoint=False).astype(np.int64))
    sizes = np.diff(np.append(starts, len(x)))
    middle = fitted.slope * np.add.reduceat(np.sort(x), starts) / sizes + fitted.intercept

    def mean(shift: float) -> float:
        return float(sizes @ expit(middle + shift)) / len(x)

    def spread(shift: float) -> float:
        p = expit(line + shift)
        return float(open_part @ (p * (1 - p)))

    def off(shift: float) -> float:
        return (mean(shift) - value) ** 2 - quantile**2 * ratio * spread(shift)

    if not spread(0.0):  # every answer is known for sure: nothing is left open
        return Interval(value, value)
    ratio = variance / spread(0.0)
    at = min(max(value, EDGE), 1 - EDGE)
    center = brentq(lambda shift: mean(shift) - at, -FARTHEST, FARTHEST)

    def end(way: int) -> float:
        far = center + way * FARTHEST
        if off(center) >= 0:
            return at
        return mean(brentq(off, center, far)) if off(far) > 0 else (1 + way) / 2

    low, high = end(-1), end(1)
    return Interval(0.0 if value <= 0 else min(low, value), 1.0 if value >= 1 else max(high, value))
