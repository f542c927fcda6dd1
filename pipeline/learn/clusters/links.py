"""Links between classes: a symmetric matrix of weights in its sparse form, with no class linked to itself."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DENSE = 3000  # classes up to which a whole matrix is made on the way: 72 MB in float64
CHUNK = 100_000  # pictures whose sparse products are held at once


@dataclass(frozen=True)
class Links:
    """Class i is linked to `others[starts[i]:starts[i + 1]]`, in order, by the `weights` there, all above zero.

    Each link stands in both of its classes' rows.
    """

    starts: Ints  # (K + 1,)
    others: Ints  # (E,)
    weights: Doubles  # (E,)

    @property
    def n_classes(self) -> int:
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

    def of(self, one: int) -> tuple[Ints, Doubles]:
        """Who a class is linked to, and how much."""
        part = slice(self.starts[one], self.starts[one + 1])
        return self.others[part], self.weights[part]

    def among(self, classes: npt.NDArray[np.integer]) -> "Links":
        """The links among some classes (ascending), which are numbered anew in that order."""
        place = np.full(self.n_classes, -1)
        place[classes] = np.arange(len(classes))
        rows, columns = place[self.rows()], place[self.others]
        inside = (rows >= 0) & (columns >= 0)
        return _sorted(rows[inside], columns[inside], self.weights[inside], len(classes))

    def scaled(self, factor: float) -> "Links":
        return Links(self.starts, self.others, self.weights * factor)

    def beyond(self, means: Doubles) -> "Links":
        """What of each weight is above the product of its classes' means (K,)."""
        rows = self.rows()
        return _sorted(rows, self.others, self.weights - means[rows] * means[self.others], self.n_classes)

    def strongest(self, most: int) -> "Links":
        """Only links that are among the strongest `most` of either of their classes."""
        rows = self.rows()
        order = np.lexsort((self.others, -self.weights, rows))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - self.starts[rows[order]]
        kept = np.flatnonzero(rank < most)
        ends = np.concatenate(
            [rows[kept] * self.n_classes + self.others[kept], self.others[kept] * self.n_classes + rows[kept]]
        )
        both = np.isin(rows * self.n_classes + self.others, ends)
        return _sorted(rows[both], self.others[both], self.weights[both], self.n_classes)

    def dense(self) -> Doubles:
        """(K, K) as a whole matrix."""
        matrix = np.zeros((self.n_classes, self.n_classes))
        matrix[self.rows(), self.others] = self.weights
        return matrix


def _sorted(rows: Ints, columns: Ints, weights: Doubles, n_classes: int) -> Links:
    """Entries in any order, each once, as links; what is not above zero or of a class with itself is none."""
    kept = np.flatnonzero((weights > 0) & (rows != columns))
    kept = kept[np.lexsort((columns[kept], rows[kept]))]
    starts = np.searchsorted(rows[kept], np.arange(n_classes + 1))
    return Links(starts, columns[kept], weights[kept])


def whole(matrix: npt.NDArray[np.floating]) -> Links:
    """The links of a matrix (K, K): its two halves added, without what is below zero."""
    both = (matrix + matrix.T).astype(np.float64)
    rows, columns = np.nonzero(both > 0)
    return _sorted(rows, columns, both[rows, columns], len(matrix))


def linked(rows: Ints, columns: Ints, weights: Reals, n_classes: int) -> Links:
    """The sum of entries that may come many times, both ways; entries with a column below zero are left out."""
    there = columns >= 0
    rows, columns, weights = rows[there], columns[there], weights[there]
    if n_classes <= DENSE:
        cells = np.bincount(rows * n_classes + columns, weights, n_classes * n_classes)
        return whole(cells.reshape(n_classes, n_classes))
    from scipy import sparse

    matrix = sparse.csr_array((weights.astype(np.float64), (rows, columns)), shape=(n_classes, n_classes))
    return _of_sparse(matrix + matrix.T)


def summed(probs: Reals, classes: npt.NDArray[np.int32] | None, n_classes: int) -> Links:
    """The sum over pictures of p_i · p_j, from all probabilities (N, K), or the largest (N, k) and their classes."""
    if n_classes <= DENSE:
        matrix = np.zeros((n_classes, n_classes))
        for first in range(0, len(probs), 10_000):
            part = probs[first : first + 10_000]
            if classes is not None:
                part = _spread(part, classes[first : first + 10_000], n_classes)
            matrix += part.T @ part
        return whole(matrix / 2)
    from scipy import sparse

    total = sparse.csr_array((n_classes, n_classes), dtype=np.float32)
    for first in range(0, len(probs), CHUNK):
        part = probs[first : first + CHUNK]
        columns = np.arange(n_classes)[None].repeat(len(part), 0) if classes is None else classes[first : first + CHUNK]
        there = columns >= 0
        rows = np.nonzero(there)[0]
        pictures = sparse.csr_array((part[there], (rows, columns[there])), shape=(len(part), n_classes))
        total = total + pictures.T @ pictures
    return _of_sparse(total)


def _spread(probs: Reals, classes: npt.NDArray[np.int32], n_classes: int) -> Reals:
    whole_rows = np.zeros((len(probs), n_classes), np.float32)
    there = classes >= 0
    whole_rows[np.nonzero(there)[0], classes[there]] = probs[there]
    return whole_rows


def _of_sparse(matrix: "object") -> Links:
    entries = matrix.tocoo()  # type: ignore[attr-defined]
    return _sorted(
        entries.row.astype(np.int64), entries.col.astype(np.int64), entries.data.astype(np.float64), entries.shape[0]
    )
