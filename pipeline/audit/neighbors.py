"""Nearest neighbors in an embedding by cosine similarity: what copies, outliers and local label checks are made of."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

BLOCK_CELLS = 2**24  # similarities that are held at once: 64 MB


class Neighbors(NamedTuple):
    """The k nearest others of each of n vectors, nearest first.

    `ids` (n, k) int64 are rows of the vectors, `similarity` (n, k) float32 the cosine of the angle, in -1..1. Where
    there are fewer than k others, and for vectors without a direction (zeros, NaN, infinite), which are nobody's
    neighbor either, the id is -1 and the similarity NaN.
    """

    ids: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float32]


def neighbors(vectors: npt.NDArray[np.floating], k: int) -> Neighbors:
    """The k nearest others of each row of `vectors` (n, D) by cosine similarity; the same input gives the same output."""
    assert vectors.ndim == 2, vectors.shape
    assert k >= 1, k
    n = len(vectors)
    unit, usable = directions(vectors)
    rows = np.flatnonzero(usable)
    found = Neighbors(np.full((n, k), -1, np.int64), np.full((n, k), np.nan, np.float32))
    if len(rows) > 1:
        near, similarity = _exact(unit[rows] if len(rows) < n else unit, min(k, len(rows) - 1))
        found.ids[rows, : near.shape[1]] = rows[near]
        found.similarity[rows, : near.shape[1]] = similarity
    return found


def directions(vectors: npt.NDArray[np.floating]) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """Rows (n, D) of length 1, and (n,) whether a row has a direction: it is finite and not zero. Others become zeros."""
    largest = np.abs(vectors).max(axis=1, initial=0.0, keepdims=True)
    usable = np.isfinite(largest[:, 0]) & (largest[:, 0] > 0)
    # Divided by the largest first: squares of large and of tiny numbers don't fit into a float32.
    scaled = np.divide(vectors, largest, out=np.zeros(vectors.shape, np.float32), where=usable[:, None])
    length = np.sqrt(np.einsum("nd,nd->n", scaled, scaled))
    return np.divide(scaled, length[:, None], out=scaled, where=usable[:, None]), usable


def _exact(unit: Vectors, k: int) -> tuple[npt.NDArray[np.int64], Vectors]:
    """All with all, a block of rows at a time."""
    n = len(unit)
    ids, similarity = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    step = max(1, BLOCK_CELLS // n)
    for start in range(0, n, step):
        block = slice(start, min(start + step, n))
        cosine = unit[block] @ unit.T
        cosine[np.arange(len(cosine)), np.arange(block.start, block.stop)] = -np.inf  # nobody is their own neighbor
        nearest = np.argpartition(cosine, n - 1 - k if k < n - 1 else 1, axis=1)[:, n - k :]
        values = np.take_along_axis(cosine, nearest, axis=1)
        order = np.lexsort((nearest, -values))
        ids[block] = np.take_along_axis(nearest, order, axis=1)
        similarity[block] = np.take_along_axis(values, order, axis=1)
    return ids, np.clip(similarity, -1.0, 1.0, out=similarity)
