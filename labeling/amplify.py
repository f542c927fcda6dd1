"""Amplify people: inside a class, answers on the doubtful margin of a binary classifier label the sure rest.

As LSUN was built (Yu et al. 2015, "LSUN: Construction of a large-scale image dataset using deep learning with humans in the
loop"), with two differences. All binary classifiers are one ridge regression on embeddings, so that every answered picture
has a score of the classifier that never saw its answer, in closed form. And a threshold is not a guess: it is tested on answers to
pictures that were drawn at random, so that with the stated confidence the error among the sure ones is below the bound.

The error is against what people would answer, so it can't be lower than they differ among themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, binom

Floats = npt.NDArray[np.float64]
NOBODY = -1  # of a picture that people found to be of none of the classes

PENALTIES = np.logspace(-4, 2, 13)  # per answer, of standardized features
MIN_ANSWERS = 10  # of a class, before it has a classifier of its own
CONFIDENCE = 0.95
STEP = 1.1  # from one threshold that is tried to the next, in pictures
NEWTON_STEPS, LONGEST_STEP = 50, 5.0
EPSILON = 1e-9


@dataclass(frozen=True)
class Classifier:
    """One binary classifier a class, on D features: square roots, standardize, multiply, and the sigmoid of a line.

    mean, scale: (D,). weights: (D, K), offset: (K,). slope, shift: (K,), of the calibration. Classes without enough answers have
    slope 0 and shift -inf: probability 0.
    """

    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    offset: Floats
    slope: Floats
    shift: Floats

    def probabilities(self, vectors: npt.NDArray[np.float32]) -> Floats:
        """How probable each class is for each picture, by its own binary classifier: (N, D) → (N, K), rows sum to anything."""
        scores = ((_rooted(vectors) - self.mean) / self.scale) @ self.weights + self.offset
        return _calibrated(scores.astype(np.float64), self.slope, self.shift)


@dataclass(frozen=True)
class Fitted:
    """A classifier, and what it says of the answered pictures themselves without having seen their answer: (A, K)."""

    classifier: Classifier
    held_out: Floats


@dataclass(frozen=True)
class Sure:
    """A class's threshold. Of `answers` random ones at or above it `wrong` say otherwise; `error` is the upper bound that was tested."""

    threshold: float
    answers: int
    wrong: int
    error: float


@dataclass(frozen=True)
class NotYet:
    """No threshold keeps the bound yet. `answers`: random ones of this class that there are; `needed`: the fewest that could do, all right."""

    answers: int
    wrong: int
    needed: int


def fit(vectors: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], classes: int) -> Fitted:
    """Binary classifiers on answers: vectors (A, D), labels (A,) a class or NOBODY.

    Ridge regression to 0 and 1, its penalty by the leave-one-out error, which is exact and needs no refit (Allen 1974, PRESS); then
    Platt's sigmoid on the leave-one-out scores.
    """
    rooted = _rooted(vectors)
    mean, scale = rooted.mean(axis=0, dtype=np.float64), rooted.std(axis=0, dtype=np.float64)
    scale = np.where(scale > EPSILON, scale, 1.0)
    features = (rooted - mean) / scale
    targets = (labels[:, None] == np.arange(classes)).astype(np.float64)
    enough = targets.sum(axis=0) >= MIN_ANSWERS
    basis, sizes, turn = _decomposed(features)
    offset = targets.mean(axis=0)
    pull = basis.T @ (targets - offset)
    best, held_out, chosen = np.inf, targets, PENALTIES[-1]
    for penalty in PENALTIES:
        shrink = sizes / (sizes + penalty * len(labels))
        fitted = offset + (basis * shrink) @ pull
        leverage = np.minimum(1.0 / len(labels) + (basis**2) @ shrink, 1.0 - EPSILON)
        left_out = targets - (targets - fitted) / (1.0 - leverage)[:, None]
        error = float(((left_out - targets)[:, enough] ** 2).mean()) if enough.any() else 0.0
        if error < best:
            best, held_out, chosen = error, left_out, penalty
    weights = turn @ (pull * (np.sqrt(sizes) / (sizes + chosen * len(labels)))[:, None])
    slope, shift = _platt(held_out, targets, enough)
    made = Classifier(
        mean.astype(np.float32), scale.astype(np.float32), weights.astype(np.float32), offset, slope, shift
    )
    return Fitted(made, _calibrated(held_out, slope, shift))


def _rooted(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Square roots with their signs: activations are skewed, and heads on their roots do better (docs/results/evidence.md)."""
    return np.asarray(np.sign(vectors) * np.sqrt(np.abs(vectors)), np.float32)


def _decomposed(features: Floats) -> tuple[Floats, Floats, Floats]:
    """features = basis · diag(√sizes) · turnᵀ, by the smaller of the two products, and only its directions that are not nothing."""
    n, d = features.shape
    sizes, vectors = np.linalg.eigh(features @ features.T if n <= d else features.T @ features)
    real = sizes > max(sizes.max(initial=0.0), EPSILON) * 1e-10
    sizes, vectors = sizes[real], vectors[:, real]
    if n <= d:
        return vectors, sizes, features.T @ vectors / np.sqrt(sizes)
    return features @ vectors / np.sqrt(sizes), sizes, vectors


def _calibrated(scores: Floats, slope: Floats, shift: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(scores * slope + shift, -500.0, 500.0)))


def _platt(scores: Floats, targets: Floats, enough: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Slope and shift of each class's sigmoid, with softened targets so that they stay finite (Platt 1999); by Newton's method."""
    n, right = len(scores), targets.sum(axis=0)
    soft = np.where(targets > 0, (right + 1) / (right + 2), 1 / (n - right + 2))
    slope, shift = np.zeros(scores.shape[1]), np.log((right + 1) / (n - right + 1))
    for _ in range(NEWTON_STEPS):
        p = _calibrated(scores, slope, shift)
        weight = p * (1 - p) + EPSILON
        down_slope, down_shift = ((p - soft) * scores).sum(axis=0), (p - soft).sum(axis=0)
        a, b, c = (weight * scores**2).sum(axis=0), (weight * scores).sum(axis=0), weight.sum(axis=0)
        area = a * c - b * b + EPSILON
        step = np.stack([(c * down_slope - b * down_shift) / area, (a * down_shift - b * down_slope) / area])
        step /= np.maximum(np.abs(step).max(axis=0) / LONGEST_STEP, 1.0)
        slope, shift = slope - step[0], shift - step[1]
    return np.where(enough, slope, 0.0), np.where(enough, shift, -np.inf)


def needed(error: float, confidence: float) -> int:
    """The fewest answers, all of them right, that show with this confidence that fewer than `error` are wrong."""
    return int(np.ceil(np.log1p(-confidence) / np.log1p(-error) - 1e-9))


def sure(
    probability: Floats, right: npt.NDArray[np.bool_], error: float, confidence: float = CONFIDENCE
) -> Sure | NotYet:
    """The lowest threshold that is shown to keep the error below the bound, on random answers of a class.

    probability: (H,), held out; right: (H,), whether people named the class. Each test is an exact binomial one of "the error
    is at least the bound". The first is where the probabilities themselves promise most that it passes, the next are ever lower, and
    the first that fails ends it: so each has the full level, and the chance that any passed threshold breaks the bound is at most
    1 - confidence (fixed sequence testing, as in Angelopoulos et al. 2021, "Learn then test").
    """
    n, level = len(probability), 1.0 - confidence
    order = np.argsort(-probability, kind="stable")
    ranked, wrong = probability[order], np.cumsum(~right[order])
    sizes = _sizes(ranked, needed(error, confidence))
    none = NotYet(n, int((~right).sum()), needed(error, confidence))
    if not len(sizes):
        return none
    expected = (np.cumsum(1.0 - ranked) / np.arange(1, n + 1))[sizes - 1]
    allowed = binom.ppf(level, sizes, error)
    allowed -= binom.cdf(allowed, sizes, error) > level
    start = int(np.argmax(binom.cdf(allowed, sizes, np.clip(expected, EPSILON, 1.0))))
    held: Sure | NotYet = none
    for size, most in zip(sizes[start:].tolist(), allowed[start:].tolist(), strict=True):
        k = int(wrong[size - 1])
        if k > most:
            break
        held = Sure(float(ranked[size - 1]), size, k, upper_bound(k, size, confidence))
    return held


def _sizes(ranked: Floats, fewest: int) -> npt.NDArray[np.int64]:
    """How many of N probabilities, the largest first, are at or above the thresholds to try; equal ones are never parted."""
    n = len(ranked)
    if n < fewest:
        return np.zeros(0, np.int64)
    steps = np.geomspace(fewest, n, max(2, round(np.log(n / fewest) / np.log(STEP)) + 1)).round().astype(np.int64)
    return np.unique(np.searchsorted(-ranked, -ranked[steps - 1], side="right"))


def upper_bound(wrong: int, answers: int, confidence: float = CONFIDENCE) -> float:
    """The largest error rate that still explains so few wrong answers (Clopper and Pearson 1934, one-sided)."""
    return 1.0 if wrong >= answers else float(beta.ppf(confidence, wrong + 1, answers - wrong))


def best_two(probabilities: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """The most probable class of each picture, the second, and the probability of the first: (N, K) → (N,) each."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :2].astype(np.int64)
    return order[:, 0], order[:, -1], np.take_along_axis(probabilities, order[:, :1], axis=1)[:, 0]


def thresholds(
    held_out: Floats,
    labels: npt.NDArray[np.int64],
    drawn: npt.NDArray[np.bool_],
    *,
    error: float,
    together: bool = False,
    classes: Sequence[int] | None = None,
) -> dict[int, Sure | NotYet]:
    """For each class its threshold, on the answers whose pictures were `drawn` at random: (A, K), (A,), (A,).

    Each class keeps the bound by itself, which takes random answers of each; `together` has one threshold for all classes, whose labels
    keep the bound as a whole.
    """
    first, _, probability = best_two(held_out)
    right = first == labels
    wanted = range(held_out.shape[1]) if classes is None else classes
    if together:
        mine = drawn & np.isin(first, list(wanted))
        one = sure(probability[mine], right[mine], error)
        return dict.fromkeys(wanted, one)
    return {k: sure(probability[mine := drawn & (first == k)], right[mine], error) for k in wanted}
