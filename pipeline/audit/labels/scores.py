"""How well flags find wrong labels, where somebody knows which labels are wrong: precision, recall, F1, with intervals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.statistics import Interval, Share, share

BOOTSTRAP_DRAWS = 2000


@dataclass(frozen=True)
class Detection:
    """What flags found of the wrong labels among `n`.

    `precision`: of the flagged labels, those that are wrong. `recall`: of the wrong labels, those that are flagged. Both
    with Wilson intervals; `f1_interval` is a bootstrap over the n labels, 2.5 to 97.5 percent.
    """

    n: int
    precision: Share
    recall: Share
    f1_interval: Interval

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; nan where nothing is flagged and nothing is wrong."""
        return _f1(self.precision.k, self.precision.n, self.recall.n)

    def summary(self) -> dict[str, object]:
        """The same as plain values for JSON."""
        return {
            "n": self.n,
            "flagged": self.precision.n,
            "wrong": self.recall.n,
            "found": self.recall.k,
            "precision": round(self.precision.value, 5),
            "precision_95": _ends(self.precision.interval),
            "recall": round(self.recall.value, 5),
            "recall_95": _ends(self.recall.interval),
            "f1": round(self.f1, 5),
            "f1_95": _ends(self.f1_interval),
        }


def _ends(interval: Interval) -> list[float]:
    return [round(interval.low, 5), round(interval.high, 5)]


def _f1(found: int, flagged: int, wrong: int) -> float:
    return 2 * found / (flagged + wrong) if flagged + wrong else float("nan")


def detection(flagged: npt.ArrayLike, wrong: npt.ArrayLike, rng: np.random.Generator) -> Detection:
    """Flags (n,) bool against the truth (n,) bool.

    >>> found = detection([True, True, False, False], [True, False, True, False], np.random.default_rng(7))
    >>> found.precision.value, found.recall.value, found.f1
    (0.5, 0.5, 0.5)
    """
    flags, truth = np.asarray(flagged, bool), np.asarray(wrong, bool)
    if flags.shape != truth.shape or flags.ndim != 1:
        raise ValueError(f"flags and truth are two rows of the same length; got {flags.shape} and {truth.shape}")
    hit, flag, bad = int((flags & truth).sum()), int(flags.sum()), int(truth.sum())
    cells = np.array([hit, flag - hit, bad - hit, flags.size - flag - bad + hit])
    interval = _f1_interval(cells, rng)
    return Detection(flags.size, share(hit, flag), share(hit, bad), interval)


def _f1_interval(cells: npt.NDArray[np.int64], rng: np.random.Generator) -> Interval:
    """Drawing n labels with replacement is one multinomial draw of the four cells: hits, false alarms, misses, rest."""
    n = int(cells.sum())
    if not cells[:3].any():
        return Interval(0.0, 1.0)
    draws = rng.multinomial(n, cells / n, size=BOOTSTRAP_DRAWS).astype(np.float64)
    either = 2 * draws[:, 0] + draws[:, 1] + draws[:, 2]
    f1 = np.divide(2 * draws[:, 0], either, out=np.zeros(len(draws)), where=either > 0)
    low, high = np.quantile(f1, [0.025, 0.975])
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class Best:
    """The threshold that would have had the best F1: flagged where the score is at least `threshold`."""

    f1: float
    threshold: float
    flagged: int


def best_f1(score: npt.ArrayLike, wrong: npt.ArrayLike) -> Best:
    """The best F1 that any threshold on a score (n,) gives, known only in hindsight; ties are flagged together.

    >>> best_f1([0.9, 0.8, 0.2, 0.1], [True, False, True, False])
    Best(f1=0.8, threshold=0.2, flagged=3)
    """
    scores, truth = np.asarray(score, np.float64), np.asarray(wrong, bool)
    if scores.shape != truth.shape or not truth.any():
        raise ValueError("a best F1 needs a score for each label, and at least one wrong label")
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(truth[order])
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    f1 = np.where(last_of_tie, 2 * found / (np.arange(1, len(scores) + 1) + truth.sum()), -1.0)
    best = int(f1.argmax())
    return Best(float(f1[best]), float(scores[order][best]), best + 1)
