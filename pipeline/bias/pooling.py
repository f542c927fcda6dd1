"""Small groups drawn towards what the others make likely, as far as their own pictures are few (empirical Bayes).

The logit of a group's share is what all have, plus an effect of each of its attributes, plus an effect of its own; effects
are normal, and how far they spread is found from the data: partial pooling (Efron and Morris 1975; for crossed groups of people
Gelman and Little 1997). So race Indian, age 70+ with 12 pictures is drawn towards what race Indian and age 70+ say, and all the less
the more its like have been seen to differ from that. The likelihood is binomial, its mode found by Newton's method, the spread of the
posterior by Laplace; and what is unknown of the two spreads is averaged over (not put in at its best value, which makes
intervals too narrow).
"""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtr

from secondlook.pipeline.core.comparison import Compared, Estimate
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import Interval

FEWEST = 3  # groups of one kind, below which how far they spread is not to be seen
SPREADS = (0.03, 0.1, 0.2, 0.4, 0.8, 1.6)  # of effects, on the logit: 0.03 is none, 1.6 is from 50 % to 83 %
LEVEL = 2.0  # deviation of what all have, on the logit, about what was counted
ROUNDS, SETTLED, LONGEST = 30, 1e-4, 2.0  # Newton's steps, how small the last, how long the longest
HALVINGS, FARTHEST = 45, 20.0  # of a quantile, on the logit

Floats = npt.NDArray[np.float64]


class Pooled(NamedTuple):
    """Shares (G,) and the ends of their intervals."""

    value: Floats
    low: Floats
    high: Floats


def pooled(groups: Sequence[Compared], confidence: float) -> tuple[Compared, ...]:
    """The same groups, in their order, with `pooled` beside the raw figure.

    Groups of the same attributes are pooled together; where there are fewer than FEWEST of them, there is nothing to learn from.
    `k` and `n` must be a share's: no differences, no npmi. Left as they are: shares of the pictures themselves (SL401, which have
    `missing`), as they add up to 1 and none is a small group's; and corrected figures, which are not `k` of `n`.
    """
    kinds: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, one in enumerate(groups):
        if one.missing is None and one.corrected is None:
            kinds[one.group.attributes].append(row)
    found = list(groups)
    for rows in kinds.values():
        if len(rows) < FEWEST:
            continue
        k, n = (np.array([getattr(groups[row], name) for row in rows], np.float64) for name in ("k", "n"))
        shares = pool(effects([groups[row].group for row in rows]), k, n, confidence)
        for row, value, low, high in zip(rows, *shares, strict=True):
            estimate = Estimate(float(value), Interval(float(low), float(high)))
            found[row] = dataclasses.replace(groups[row], pooled=estimate)
    return tuple(found)


def effects(groups: Sequence[Group]) -> Floats:
    """(G, R) 1 where a group has a value of an attribute; no columns for groups of one attribute, each of which is its own."""
    if not groups or groups[0].depth == 1:
        return np.zeros((len(groups), 0))
    known = sorted({value for group in groups for value in group.values})
    return np.array([[value in group.values for value in known] for group in groups], np.float64)


def pool(design: Floats, k: Floats, n: Floats, confidence: float) -> Pooled:
    """Shares of G groups, `k` of `n` (G,), whose logits have the effects of `design` (G, R) and one of their own.

    `k` and `n` need not be whole, and a group may be empty: then it is what the others make likely.
    """
    shared = SPREADS if design.shape[1] else SPREADS[:1]
    first, own = (one.ravel() for one in np.meshgrid(shared, SPREADS, indexing="ij"))
    columns = np.column_stack([np.ones(len(design)), design])
    precision = np.repeat(1 / np.square(first)[:, None], columns.shape[1], axis=1)  # (H, R + 1)
    precision[:, 0] = 1 / LEVEL**2
    start = float(logit((k.sum() + 0.5) / (n.sum() + 1)))
    fit = _mode(_Model(columns, precision, np.square(own)[:, None], start), k, n)
    weight = np.exp(fit.evidence - fit.evidence.max())
    weight /= weight.sum()
    value = weight @ expit(fit.mean / np.sqrt(1 + np.pi * fit.variance / 8))  # MacKay 1992's mean of a logistic normal
    tail = (1 - confidence) / 2
    low, high = (expit(_quantile(at, weight, fit.mean, np.sqrt(fit.variance))) for at in (tail, 1 - tail))
    return Pooled(np.asarray(value, np.float64), low, high)


class _Model(NamedTuple):
    """H pairs of spreads: columns (G, R), precision of effects (H, R), variance of a group's own (H, 1), all on the logit."""

    columns: Floats
    precision: Floats
    own: Floats
    start: float


class _Fit(NamedTuple):
    """Logits' posterior by pair of spreads, (H, G) each, and its log evidence (H,)."""

    mean: Floats
    variance: Floats
    evidence: Floats


class _Step(NamedTuple):
    """What the answers' quadratic at some logits says: the next logits, and what the evidence needs."""

    mean: Floats
    variance: Floats
    quadratic: Floats
    determinant: Floats


def _mode(model: _Model, k: Floats, n: Floats) -> _Fit:
    at = np.full((len(model.own), len(k)), model.start)
    for _ in range(ROUNDS):
        move = np.clip(_step(model, k, n, at).mean - at, -LONGEST, LONGEST)
        at = at + move
        if np.abs(move).max() < SETTLED:
            break
    last = _step(model, k, n, at)
    likelihood = (k * at - n * np.logaddexp(0, at)).sum(axis=1)
    return _Fit(at, last.variance, likelihood - (last.quadratic + last.determinant) / 2)


def _step(model: _Model, k: Floats, n: Floats, at: Floats) -> _Step:
    """One of Newton's: the posterior of effects and logits where the likelihood is the quadratic that touches it at `at`."""
    p = expit(at)
    curved = np.maximum(n * p * (1 - p), 1e-9)
    seen = at - model.start + (k - n * p) / curved  # working responses of variance 1 / curved
    weight = 1 / (model.own + 1 / curved)  # (H, G)
    inner = (model.columns.T * weight[:, None, :]) @ model.columns
    whole = inner + np.eye(model.columns.shape[1]) * model.precision[:, None, :]
    spread = np.linalg.inv(whole)
    effect = np.einsum("hrs,hs->hr", spread, (weight * seen) @ model.columns)
    line = effect @ model.columns.T
    trust = model.own * weight  # part of a group's logit that its own pictures say
    off = weight * (seen - line)
    variance = (1 - trust) ** 2 * ((model.columns @ spread) * model.columns).sum(axis=2)
    mean = (1 - trust) * line + trust * seen
    return _Step(
        mean + model.start,
        variance + trust / curved,
        (off * mean).sum(axis=1),
        np.log(curved / weight).sum(axis=1) + np.linalg.slogdet(whole)[1] - np.log(model.precision).sum(axis=1),
    )


def _quantile(at: float, weight: Floats, mean: Floats, spread: Floats) -> Floats:
    """Quantiles (G,) of mixtures of H normal distributions."""
    low: Floats = np.full(mean.shape[1], -FARTHEST)
    high: Floats = np.full(mean.shape[1], FARTHEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = weight @ ndtr((middle - mean) / spread) < at
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2, np.float64)
