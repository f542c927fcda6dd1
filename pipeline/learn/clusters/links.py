"""Links between classes: a symmetric matrix of weights in its sparse form, with no class linked to itself."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Columns = npt.NDArray[np.int32]

DENSE = 1000  # classes up to which whole matrices are made on the way, by numpy alone


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
        return np.bincount(self.rows(), self.weights, self.n_classes).astype(np.float64)

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


def counted(rows: Ints, columns: Ints, n_classes: int) -> Links:
    """How many times each pair comes, either way."""
    if n_classes <= DENSE:
        matrix = np.bincount(rows * n_classes + columns, minlength=n_classes**2).reshape(n_classes, n_classes)
        return of_matrix((matrix + matrix.T).astype(np.float64))
    cells, times = np.unique(
        np.concatenate([rows * n_classes + columns, columns * n_classes + rows]), return_counts=True
    )
    return of_entries(cells // n_classes, cells % n_classes, times.astype(np.float64), n_classes)
