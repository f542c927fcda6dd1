"""Which classes are taken for which, counted over any number of rows: with thousands of classes there are millions of pairs."""

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.audit.labels.compare import Ints

WAITING = 1 << 18  # pairs that are kept before they are summed up


class Confusions:
    """Counts of (given, suggested) pairs of K classes: sixteen bytes for each pair that occurs."""

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes
        self._pairs = np.empty(0, np.int64)
        self._counts = np.empty(0, np.int64)
        self._waiting: list[npt.NDArray[np.int64]] = []

    def add(self, given: Ints, suggested: Ints) -> None:
        """Count the pairs of two columns (n,)."""
        self._waiting.append(given.astype(np.int64) * self.n_classes + suggested)
        if sum(map(len, self._waiting)) >= max(WAITING, len(self._pairs)):  # so that all summing up together is cheap
            self._sum_up()

    def _sum_up(self) -> None:
        fresh, counts = np.unique(np.concatenate([self._pairs[:0], *self._waiting]), return_counts=True)
        self._waiting = []
        pairs = np.concatenate([self._pairs, fresh])
        self._pairs, place = np.unique(pairs, return_inverse=True)
        total = np.zeros(len(self._pairs), np.int64)
        np.add.at(total, place, np.concatenate([self._counts, counts]))
        self._counts = total

    def most(self, n: int) -> list[tuple[int, int, int]]:
        """The n most common: given, suggested, count; of equals, those with the lower numbers first."""
        self._sum_up()
        best = np.lexsort((self._pairs, -self._counts))[:n]
        given, suggested = np.divmod(self._pairs[best], self.n_classes)
        return list(zip(given.tolist(), suggested.tolist(), self._counts[best].tolist(), strict=True))
