"""SL102: pictures that two classes claim about equally."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]


class Ambiguity(NamedTuple):
    """For n rows: the columns of the two best classes, their probabilities, and whether they are too close to call."""

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    p_first: npt.NDArray[np.float64]
    p_second: npt.NDArray[np.float64]
    flagged: npt.NDArray[np.bool_]


def ambiguity(probs: Floats, margin: float, mass: float) -> Ambiguity:
    """Flag rows whose two best probabilities differ by less than `margin` and sum to at least `mass`.

    `probs`: (n, k), k at least 2, in any order of columns; of equal ones the first column is the best.

    >>> ambiguity(np.array([[0.5, 0.45, 0.05], [0.8, 0.1, 0.1], [0.3, 0.28, 0.42]]), 0.1, 0.8).flagged.tolist()
    [True, False, False]
    """
    rows = np.arange(len(probs))
    work = np.array(probs, np.float64)
    first = work.argmax(axis=1)
    p_first = work[rows, first]
    work[rows, first] = -np.inf
    second = work.argmax(axis=1)
    p_second = work[rows, second]
    flagged = (p_first - p_second < margin) & (p_first + p_second >= mass)
    return Ambiguity(first, second, p_first, p_second, flagged)
