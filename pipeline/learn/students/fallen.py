"""Who pays for a small model: groups and classes that it is surely worse at than its teacher, picture by picture.

Distilling, pruning and quantizing hurt rare classes and small groups first (Hooker et al. 2020, "Characterising Bias in Compressed
Models"), and a mean does not show it. Both models are asked about the same pictures, so only those count that one of them alone gets
right.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from secondlook.pipeline.core.comparison import Estimate
from secondlook.pipeline.core.frontier import Fall
from secondlook.pipeline.core.paired import paired_interval
from secondlook.pipeline.core.statistics import Interval, holm, intervals

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

ALPHA = 0.05


def falls(
    teacher: Flags, student: Flags, names: Sequence[tuple[str, str]], members: Sequence[Ints], alpha: float = ALPHA
) -> tuple[Fall, ...]:
    """How far the student is below the teacher in each of G sets of pictures, in their order.

    teacher, student: (N,) whether each was right. names: (attribute, value) of each set; members: its rows. The intervals of `fall`
    hold together: in at least 1 - alpha of all runs each of the G true falls lies in its own (Bonferroni). p is that of the exact
    McNemar test, by Holm over the sets. A set without pictures says nothing: interval -1 to 1, p 1.
    """
    if not members:
        return ()
    table = np.array([_table(teacher[rows], student[rows]) for rows in members], np.int64)
    adjusted = holm(exact_p(table[:, 1], table[:, 2]))
    confidence = 1 - alpha / len(members)
    found = []
    for (attribute, value), (n, lost, gained, first, second), p in zip(
        names, table.tolist(), adjusted.tolist(), strict=True
    ):
        fall = paired_interval(lost, gained, n, confidence=confidence) if n else Interval(-1.0, 1.0)
        of = Estimate((lost - gained) / n if n else float("nan"), fall)
        found.append(Fall(value, n, estimate(first, n), estimate(second, n), of, p, attribute))
    return tuple(found)


def forgotten(compared: Sequence[Fall], least: float, alpha: float = ALPHA) -> tuple[Fall, ...]:
    """Those that fell surely (adjusted p) and by more than `least`, the furthest first."""
    gone = [one for one in compared if one.p < alpha and one.fall.value > least]
    return tuple(sorted(gone, key=lambda one: (-one.fall.value, one.name)))


def refused(compared: Sequence[Fall], margin: float) -> tuple[Fall, ...]:
    """Those that fell surely by more than the margin: their whole interval lies beyond it. The furthest first."""
    gone = [one for one in compared if one.fall.interval.low > margin]
    return tuple(sorted(gone, key=lambda one: (-one.fall.value, one.words)))


def exact_p(lost: npt.ArrayLike, gained: npt.ArrayLike) -> Reals:
    """Two-sided p of the exact McNemar test, of pictures that one alone, and the other alone, got right.

    >>> exact_p([8, 3], [0, 3]).round(4).tolist()
    [0.0078, 1.0]
    """
    one, other = np.asarray(lost, np.int64), np.asarray(gained, np.int64)
    return np.asarray(
        np.minimum(2 * bdtr(np.minimum(one, other).astype(np.float64), one + other, 0.5), 1.0), np.float64
    )


def gaps(right: Flags, attributes: Sequence[Sequence[Ints]], weights: npt.NDArray[np.integer] | None = None) -> Reals:
    """(M, B) gap between the best and the worst group of an attribute, the largest of all attributes.

    right: (M, N). attributes: for each the rows of its groups. weights: (B, N) how often a draw has each picture; None: once,
    B = 1. A group that a draw has nothing of is left out of it.
    """
    counts = np.ones((1, right.shape[1]), np.int64) if weights is None else weights
    largest = np.zeros((len(right), len(counts)))
    for groups in attributes:
        shares = []
        for rows in groups:
            n = counts[:, rows].sum(axis=1)
            hits = right[:, rows].astype(np.float64) @ counts[:, rows].T.astype(np.float64)
            shares.append(np.where(n > 0, hits / np.maximum(n, 1), np.nan))
        largest = np.fmax(largest, np.nanmax(shares, axis=0) - np.nanmin(shares, axis=0))
    return np.asarray(largest, np.float64)


def draws(n: int, times: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    """(B, N) how often each of n pictures is in each of B bootstrap draws."""
    return rng.multinomial(n, np.full(n, 1 / n), size=times).astype(np.int32)


def estimate(k: float, n: int) -> Estimate:
    """The share k of n with its 95 % interval."""
    low, high = intervals(k, n)
    return Estimate(k / n if n else float("nan"), Interval(float(low), float(high)))


def _table(teacher: Flags, student: Flags) -> tuple[int, int, int, int, int]:
    """n, right by the teacher alone, by the student alone, by the teacher, by the student."""
    lost, gained = int((teacher & ~student).sum()), int((student & ~teacher).sum())
    return len(teacher), lost, gained, int(teacher.sum()), int(student.sum())
