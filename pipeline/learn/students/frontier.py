"""The Pareto set of students: those that no other beats, over all axes at once.

Noise keeps a student on the frontier and never throws one off. A student is off it where another is at least as good on every
axis, by the figures, and *surely* better on at least one. Parameters, multiply-adds and bytes are what they are: any difference is
sure. Right answers are compared picture by picture (exact McNemar test), latency round by round (the same test, the sign test),
gaps between groups by draws of the same pictures. So two students that cost the same and differ by chance both stay, and one
that is heavier and not seen to be better anywhere goes. This order has no circles: a set of students always has a frontier.
"""

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.learn.students.fallen import exact_p

Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ALPHA = 0.05  # of each comparison of two on one axis


def dominates(values: npt.ArrayLike, surely: npt.ArrayLike) -> Flags:
    """(M, M): whether the first beats the second.

    values: (M, A), higher is better; nan where it was not measured: on that axis such a student neither beats nor is beaten
    by one that was measured, and an axis that was measured of nobody is none. surely: (A, M, M), whether the first is surely
    better than the second on the axis.

    >>> import numpy as np
    >>> accuracy, bytes_ = [0.9, 0.9, 0.8], [-4, -2, -3]
    >>> values = np.stack([accuracy, bytes_], axis=1)
    >>> dominates(values, sure(values)).any(axis=0).tolist()  # of the first, second, third: is it beaten?
    [True, False, True]
    """
    points, certain = np.asarray(values, np.float64), np.asarray(surely, np.bool_)
    there = ~np.isnan(points).all(axis=0)
    points, certain = points[:, there], certain[there]
    at_least = (points[:, None, :] >= points[None, :, :]).all(axis=2)
    return np.asarray(at_least & certain.any(axis=0), np.bool_)


def sure(values: npt.ArrayLike) -> Flags:
    """(A, M, M) of figures (M, A) without noise: any difference is sure."""
    points = np.asarray(values, np.float64).T
    return np.asarray(points[:, :, None] > points[:, None, :], np.bool_)


def sure_of_answers(right: npt.ArrayLike, alpha: float = ALPHA) -> Flags:
    """(M, M): whether the first was right surely more often than the second, of answers (M, N) to the same questions.

    The exact test of McNemar (1947): of the questions that one of them alone got right, half would be either's by chance.
    """
    hits = np.asarray(right, np.float64)
    return _sure_of_wins(np.rint(hits @ (1 - hits).T), alpha)


def sure_of_times(seconds: npt.ArrayLike, alpha: float = ALPHA) -> Flags:
    """(M, M): whether the first is surely faster than the second, of seconds (R, M) in R rounds that asked all in turn: the sign test."""
    rounds = np.asarray(seconds, np.float64)
    wins = (rounds[:, :, None] < rounds[:, None, :]).sum(axis=0)
    return _sure_of_wins(wins, alpha)


def sure_of_draws(figures: npt.ArrayLike, alpha: float = ALPHA) -> Flags:
    """(M, M): whether the first is surely lower than the second, of figures (M, B) in B draws of the same pictures."""
    drawn = np.asarray(figures, np.float64)
    if drawn.size == 0:
        return np.zeros((len(drawn), len(drawn)), np.bool_)
    return np.asarray(np.quantile(drawn[:, None, :] - drawn[None, :, :], 1 - alpha / 2, axis=2) < 0, np.bool_)


def _sure_of_wins(wins: npt.NDArray[np.floating | np.integer], alpha: float) -> Flags:
    """Wins (M, M) of the first over the second → whether they are more than chance would give to either, two-sided."""
    return np.asarray((wins > wins.T) & (exact_p(wins, wins.T) < alpha), np.bool_)
