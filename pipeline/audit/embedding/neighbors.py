"""Nearest neighbors in an embedding by cosine similarity: what copies, outliers and local label checks are made of.

Few vectors are compared all with all. For many, faiss (MIT) cuts space into cells around centroids (an inverted file:
Jégou, Douze, Schmid 2011, "Product quantization for nearest neighbor search") and looks into the cells nearest to each
vector: it may miss a neighbor that is far away, hardly ever one that is as near as a copy. docs/results/neighbors.md
says how often.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

BLOCK_CELLS = 2**24  # similarities that are held at once: 64 MB
EXACT = 20_000  # vectors up to which all are compared with all
PROBES = 64  # cells that are looked into for each vector
SAMPLED = 64  # vectors of each cell that its centroid is learned from
SEED = 7
CELL = 2_000  # vectors of a cell where cells are compared apart from one another: see cells_of
OVERLAP = 4
ROUNDS = 5  # of k-means


class Neighbors(NamedTuple):
    """The k nearest others of each of n vectors, nearest first.

    `ids` (n, k) int64 are rows of the vectors, `similarity` (n, k) float32 the cosine of the angle, in -1..1. Where
    there are fewer than k others, and for vectors without a direction (zeros, NaN, infinite), which are nobody's
    neighbor either, the id is -1 and the similarity NaN.
    """

    ids: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float32]


def neighbors(vectors: npt.NDArray[np.floating], k: int, *, exact: int = EXACT) -> Neighbors:
    """The k nearest others of each row of `vectors` (n, D) by cosine similarity; the same input gives the same output.

    Up to `exact` rows they are the nearest; beyond, nearly all of them are.
    """
    assert vectors.ndim == 2, vectors.shape
    assert k >= 1, k
    n = len(vectors)
    unit, usable = directions(vectors)
    rows = np.flatnonzero(usable)
    found = Neighbors(np.full((n, k), -1, np.int64), np.full((n, k), np.nan, np.float32))
    if len(rows) > 1:
        search = _exact if len(rows) <= exact else _by_cells
        near, similarity = search(unit[rows] if len(rows) < n else unit, min(k, len(rows) - 1))
        found.ids[rows, : near.shape[1]] = np.where(near >= 0, rows[near], -1)
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


def _by_cells(unit: Vectors, k: int) -> tuple[npt.NDArray[np.int64], Vectors]:
    """With an index of cells; a row that has fewer than k others in its cells has -1 and NaN in the end."""
    import faiss  # noqa: PLC0415 — 70 MB that only large datasets need

    n, dims = unit.shape
    cells = max(1, 4 * int(np.sqrt(n)))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dims), dims, cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = SEED, 10, SAMPLED
    index.cp.spherical = True
    rng = np.random.default_rng(SEED)
    index.train(unit[np.sort(rng.choice(n, min(n, SAMPLED * cells), replace=False))])
    index.add(unit)
    index.nprobe = PROBES
    similarity, ids = index.search(unit, k + 1)
    # A vector is its own nearest, save where k + 1 others are equal to it: then one of those gives way.
    own = ids == np.arange(n)[:, None]
    own[~own.any(axis=1), -1] = True
    ids, similarity = ids[~own].reshape(n, k), similarity[~own].reshape(n, k)
    similarity[ids < 0] = np.nan
    return ids, np.clip(similarity, -1.0, 1.0, out=similarity)


class Cells(NamedTuple):
    """Centroids (C, D) of cells, and how many of its nearest cells each vector belongs to."""

    centroids: Vectors
    overlap: int


def cells_of(sample: Vectors, n: int) -> Cells:
    """Cells for n vectors that can't be held together, learned from a sample (m, D) of them: Lloyd's k-means.

    One cell where n vectors can be compared all with all. Else about CELL vectors are nearest to each, and every vector
    goes to the OVERLAP nearest, so that a near pair on a border meets all the same.
    """
    unit = directions(sample)[0]
    if n <= EXACT or len(unit) < 2:
        return Cells(np.zeros((1, unit.shape[1]), np.float32), 1)
    wanted = min(-(-n // CELL), len(unit) // 4)
    centroids = unit[np.sort(np.random.default_rng(SEED).choice(len(unit), wanted, replace=False))]
    for _ in range(ROUNDS):
        nearest = (unit @ centroids.T).argmax(axis=1)
        sums = np.zeros_like(centroids)
        np.add.at(sums, nearest, unit)
        moved, usable = directions(sums)
        centroids = np.where(usable[:, None], moved, centroids)
    return Cells(centroids, min(OVERLAP, wanted))


def nearest_cells(vectors: Vectors, cells: Cells) -> npt.NDArray[np.int64]:
    """The cells that vectors (n, D) belong to, (n, overlap)."""
    closeness = directions(vectors)[0] @ cells.centroids.T
    if cells.overlap == closeness.shape[1]:
        return np.broadcast_to(np.arange(cells.overlap), closeness.shape).astype(np.int64)
    return np.argpartition(-closeness, cells.overlap - 1, axis=1)[:, : cells.overlap].astype(np.int64)
