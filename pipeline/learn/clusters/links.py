"""Links between classes: a symmetric matrix of weights in its sparse form, with no class linked to itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Columns = npt.NDArray[np.int32]

DENSE = 3000  # classes up to which a whole matrix is made on the way: 72 MB in float64
CHUNK = 50_000  # pictures whose products are held at once


@dataclass(frozen=True)
class Links:
    """Class i is linked to `others[starts[i]:starts[i + 1]]`, ascending, by the `weights` there, all above zero.

    Each link stands in the rows of both of its classes.
    """

    starts: Ints  # (K + 1,)
    others: Ints  # (E,)
    weights: Doubles  # (E,)

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.starts) - 1

    @property
    def total(self) -> float:
        """Sum of all weights, each link counted both ways."""
        return float(self.weights.sum())

    def rows(self) -> Ints:
        """(E,) the class in whose row each entry stands."""
        return np.repeat(np.arange(self.n_classes), np.diff(self.starts))

    def degrees(self) -> Doubles:
        """(K,) sum of each class's weights."""
        return np.bincount(self.rows(), self.weights, self.n_classes)

    def among(self, classes: npt.NDArray[np.integer]) -> "Links":
        """The links among some classes (ascending), which are numbered anew in that order."""
        starts, ends = self.starts[classes], self.starts[np.asarray(classes) + 1]
        rows = np.repeat(np.arange(len(classes)), ends - starts)
        first = np.repeat(starts - np.concatenate([[0], np.cumsum(ends - starts)[:-1]]), ends - starts)
        entries = first + np.arange(len(rows))
        place = np.full(self.n_classes, -1)
        place[classes] = np.arange(len(classes))
        columns = place[self.others[entries]]
        return of_entries(rows, columns, np.where(columns >= 0, self.weights[entries], 0.0), len(classes))

    def dense(self) -> Doubles:
        """(K, K) as a whole matrix."""
        matrix = np.zeros((self.n_classes, self.n_classes))
        matrix[self.rows(), self.others] = self.weights
        return matrix


def of_entries(rows: Ints, columns: Ints, weights: Doubles, n_classes: int) -> Links:
    """Entries in any order, each once and both ways, as links; what is not above zero or of a class with itself is none."""
    kept = np.flatnonzero((weights > 0) & (rows != columns))
    kept = kept[np.argsort(rows[kept] * n_classes + columns[kept], kind="stable")]
    starts = np.searchsorted(rows[kept], np.arange(n_classes + 1))
    return Links(starts, columns[kept], weights[kept])


def of_matrix(matrix: npt.NDArray[np.floating]) -> Links:
    """The links of a symmetric matrix (K, K)."""
    rows, columns = np.nonzero(matrix > 0)
    return of_entries(rows, columns, matrix[rows, columns].astype(np.float64), len(matrix))


def counted(rows: Ints, columns: Ints, weights: Doubles, n_classes: int) -> Links:
    """The sums of entries that may come many times and one way, counted both ways; columns below zero are left out."""
    there = columns >= 0
    rows, columns, weights = rows[there], columns[there], weights[there]
    if n_classes <= DENSE:
        matrix = np.bincount(rows * n_classes + columns, weights, n_classes * n_classes).reshape(n_classes, n_classes)
        return of_matrix(matrix + matrix.T)
    from scipy import sparse  # noqa: PLC0415 — only many classes need it

    once = sparse.csr_array((weights, (rows, columns)), shape=(n_classes, n_classes))
    return _of_sparse(once + once.T)


def products(probs: Reals, classes: Columns | None, n_classes: int) -> Links:
    """The sum over pictures of p_i · p_j, of all probabilities (N, K), or of the largest (N, k) and their `classes`."""
    chunks = range(0, len(probs), CHUNK)
    if n_classes <= DENSE:
        matrix = np.zeros((n_classes, n_classes))
        for first in chunks:
            part = probs[first : first + CHUNK]
            if classes is not None:
                part = _spread(part, classes[first : first + CHUNK], n_classes)
            matrix += part.T @ part
        return of_matrix(matrix)
    from scipy import sparse  # noqa: PLC0415 — only many classes need it

    total = sparse.csr_array((n_classes, n_classes), dtype=np.float32)
    for first in chunks:
        part = probs[first : first + CHUNK]
        columns = np.arange(n_classes)[None].repeat(len(part), 0) if classes is None else classes[first : first + CHUNK]
        there = columns >= 0
        pictures = sparse.csr_array((part[there], (np.nonzero(there)[0], columns[there])), (len(part), n_classes))
        total = total + pictures.T @ pictures
    return _of_sparse(total)


def _spread(probs: Reals, classes: Columns, n_classes: int) -> Reals:
    spread = np.zeros((len(probs), n_classes), np.float32)
    there = classes >= 0
    spread[np.nonzero(there)[0], classes[there]] = probs[there]
    return spread


def _of_sparse(matrix: Any) -> Links:
    entries = matrix.tocoo()
    rows, columns = entries.row.astype(np.int64), entries.col.astype(np.int64)
    return of_entries(rows, columns, entries.data.astype(np.float64), matrix.shape[0])
