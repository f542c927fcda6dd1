"""A batch that is spread out: no fifty copies of one doubt.

An answer tells something of the pictures that look alike, so what is chosen takes from what its neighbours are worth:

    gain of j = value of j * product over chosen i of (1 - strength * closeness(i, j))

with closeness 1 - (distance / reach)^2, at least 0: 1 for a copy, 0 from `reach` on. Reach is how far the
nearest neighbours are in a batch that was drawn at random, those of one picture in ten that are nearest: only what is closer than
chance counts, and many pictures far away add up to nothing. Gains only fall, so the greedy choice needs no
table of all pairs: a gain that was computed earlier is an upper bound (the lazy greedy of Minoux 1978), and bounds are
refreshed a block at a time, by matrix products.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

FRONT = 8192  # candidates with the largest bounds, that blocks are looked for in
BLOCK = 256  # candidates whose gain is refreshed at once
RECENT = 64  # chosen ones that a row of a block mostly lacks, at most
PROBE = 2000  # pictures, at most, by which reach is measured
LEAST_PROBE = 200  # and at least: of a few pictures, chance is too wide a measure
NEAREST = 0.1  # of the pictures, whose nearest neighbour makes the reach
COPY = 0.05  # of the usual distance of two pictures: what is nearer shows the same
SKETCH = 128  # dimensions that distances are kept in


def sketch(vectors: Singles, rng: np.random.Generator, dimensions: int = SKETCH) -> Singles:
    """Vectors (n, d) as (n, at most `dimensions`) of length about 1: normalized, then projected at random.

    A random projection keeps each distance within some 12 % at 128 dimensions (Johnson and Lindenstrauss 1984), copies stay
    copies, and 1280 dimensions of 100,000 pictures become 50 MB. The same generator state gives the same projection.
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(length, 1e-12).astype(np.float32)
    if vectors.shape[1] <= dimensions:
        return np.asarray(unit, np.float32)
    matrix = rng.standard_normal((vectors.shape[1], dimensions), np.float32) / np.float32(np.sqrt(dimensions))
    return np.asarray(unit @ matrix, np.float32)


def reach(vectors: Singles) -> float:
    """Distance that one in ten of vectors (n, d) drawn at random has its nearest other within; 0 for fewer than two.

    Copies, nearer than a 20th of what is usual between two pictures, are left out: a dataset of copies would have no reach.

    >>> reach(np.array([[0.0], [0.0], [1.0], [3.0]], np.float32))
    1.0
    """
    if len(vectors) < 2:
        return 0.0
    squared = _squared(vectors, vectors)
    copies = COPY * float(np.sqrt(np.median(squared)))
    squared[squared <= copies**2] = np.inf
    nearest = np.sqrt(squared.min(axis=1))
    known = nearest[np.isfinite(nearest)]
    return float(np.quantile(known, NEAREST)) if len(known) else copies


def _squared(some: Singles, others: Singles) -> Singles:
    """Squared distances (n, m)."""
    lengths = np.square(some).sum(axis=1)[:, None] + np.square(others).sum(axis=1)[None, :]
    return np.asarray(np.maximum(lengths - 2 * (some @ others.T), 0.0), np.float32)


class Spread:
    """The greedy choice among N candidates, held between calls: what was taken earlier counts for what is taken later."""

    def __init__(
        self,
        value: npt.ArrayLike,
        vectors: Singles | None,
        *,
        strength: float,
        reach: float,
        cost: npt.ArrayLike | None = None,
    ) -> None:
        """value: (N,), at least 0; what is worth 0 is never taken. vectors: (N, d), rows of nan where there is none.

        `strength`: 0 spreads nothing, 1 lets a copy of what is chosen be worth nothing. cost: (N,), 1 each by default.
        """
        self.gain: Floats = np.array(value, np.float64)
        self.cost: Floats = np.ones(len(self.gain)) if cost is None else np.asarray(cost, np.float64)
        self.chosen: list[int] = []
        self.least = np.inf  # gain of what was taken last, as it was then
        self._seen: npt.NDArray[np.int64] = np.zeros(len(self.gain), np.int64)
        spreading = vectors is not None and strength > 0 and reach > 0
        self._vectors = vectors if spreading else None
        self._strength, self._reach = strength, reach

    def choose(self, row: int) -> None:
        """Take a candidate whatever it is worth."""
        self.gain[row] = 0.0
        self.chosen.append(row)

    def take(self, room: float, among: Rows | None = None, most: float = np.inf) -> list[int]:
        """The best rows by gain, one after the other, whose cost fits into `room` in all, at most `most` of them."""
        live = np.arange(len(self.gain)) if among is None else np.asarray(among, np.int64)
        taken: list[int] = []
        while len(taken) < most:
            live = self._open(live, room)
            if not len(live):
                break
            front, beyond = self._block(live, FRONT)
            size = BLOCK
            while len(taken) < most and len(front := self._open(front, room)):
                block, outside = self._block(front, size)
                if self.gain[block].max() < beyond:
                    break  # what is best may lie beyond the front by now
                self._refresh(block)
                found, room = self._of_block(block, max(outside, beyond), room, most - len(taken))
                taken += found
                size = BLOCK if found else min(2 * size, FRONT)
        return taken

    def _open(self, rows: Rows, room: float) -> Rows:
        """Those that may still be taken."""
        return rows[(self.gain[rows] > 0) & (self.cost[rows] <= room + 1e-9)]

    def _block(self, live: Rows, size: int) -> tuple[Rows, float]:
        """The rows with the largest bounds, in order of the rows, and the largest bound of all others."""
        if len(live) <= size:
            return live, 0.0
        order = np.argpartition(-self.gain[live], size)
        return np.sort(live[order[:size]]), float(self.gain[live[order[size]]])

    def _refresh(self, block: Rows) -> None:
        """Gains of these rows, exact as of all that is chosen. Most lack only the newest few; the others go by themselves.

        `_of_block`, which follows, notes that they are.
        """
        n = len(self.chosen)
        if self._vectors is not None and n:
            recent = self._seen[block] >= n - RECENT
            for rows in (block[recent], block[~recent]):
                oldest = int(self._seen[rows].min(initial=n))
                if oldest < n:
                    factor = self._factors(rows, np.array(self.chosen[oldest:], np.int64))
                    known = np.arange(oldest, n)[None, :] < self._seen[rows][:, None]
                    self.gain[rows] *= np.where(known, 1.0, factor).prod(axis=1)

    def _factors(self, rows: Rows, chosen: Rows) -> Floats:
        """What each chosen picture leaves of each row's gain, (rows, chosen)."""
        assert self._vectors is not None, "asked only where there are vectors"
        close = 1.0 - _squared(self._vectors[rows], self._vectors[chosen]) / np.float32(self._reach**2)
        close[~(close > 0)] = 0.0  # nan, of pictures without a place, too
        return 1.0 - self._strength * close.astype(np.float64)

    def _of_block(self, block: Rows, outside: float, room: float, most: float) -> tuple[list[int], float]:
        """What is taken of a block whose gains are exact, as long as nothing outside of it can be better."""
        gain, cost = self.gain[block], self.cost[block]
        taken: list[int] = []
        while len(taken) < most:
            best = int(np.argmax(np.where(cost <= room + 1e-9, gain, 0.0)))
            if gain[best] <= 0 or gain[best] < outside or cost[best] > room + 1e-9:
                break
            self.least, gain[best] = float(gain[best]), 0.0
            room -= float(cost[best])
            taken.append(best)
            if self._vectors is not None:
                gain *= self._factors(block[best : best + 1], block)[0]
        self.gain[block] = gain
        self.chosen += block[taken].tolist()
        self._seen[block] = len(self.chosen)
        return block[taken].tolist(), room


def redundant(vectors: Singles, chosen: Sequence[int] | Rows, within: float) -> float:
    """Share of the chosen rows that have another chosen one within a distance; 0 for none chosen."""
    picked = vectors[np.asarray(chosen, np.int64)]
    if len(picked) < 2:
        return 0.0
    near = 0
    for start in range(0, len(picked), 1024):
        squared = _squared(picked[start : start + 1024], picked)
        squared[np.arange(len(squared)), start + np.arange(len(squared))] = np.inf
        near += int((squared.min(axis=1) <= within**2).sum())
    return near / len(picked)
