"""How far another class is ahead of a given one, in log odds: the common scale of all evidence about a label."""

from typing import Any

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float32]

TINY = 1e-6  # probabilities below count as this: what is nearer to 0 is rounding
BLOCK = 65_536  # rows that are copied at once


def log_odds_against(given: npt.NDArray[np.integer[Any]], probs: npt.NDArray[np.floating[Any]]) -> Reals:
    """(n,) log(p of the best other class / p of the given one) for labels (n,) and probs (n, K); nan without a label.

    Above 0 another class is ahead. Ranked by it, wrong labels of people come out better than by the difference of the
    two: a label at 0.001 beside one at 0.6 is more surely wrong than one at 0.2 beside one at 0.8 (docs/results/evidence.md).

    >>> log_odds_against(np.array([0, 1, -1]), np.array([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]])).round(3).tolist()
    [0.0, 2.197000026702881, nan]
    """
    result = np.full(len(given), np.nan, np.float32)
    known = np.flatnonzero(given >= 0)
    if probs.shape[1] < 2:
        return result
    for start in range(0, len(known), BLOCK):
        rows = known[start : start + BLOCK]
        others = np.array(probs[rows], np.float32)
        places = np.arange(len(rows)), given[rows]
        own = others[places]
        others[places] = -1.0
        result[rows] = np.log(np.maximum(others.max(axis=1), TINY)) - np.log(np.maximum(own, TINY))
    return result


def as_score(log_odds: npt.NDArray[np.floating[Any]]) -> Reals:
    """Log odds on the scale 0..1: p_other / (p_other + p_given), 0.5 for a tie, nan for nan."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * np.asarray(log_odds, np.float64)), np.float32)
