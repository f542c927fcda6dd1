"""Hits of groups when attributes are permuted against outcomes: drawn from counts by cell, both margins of which stay as they are.

Every cell is drawn, from the multivariate hypergeometric distribution, which is what permuting pictures one by one would give.
Where cells are so many that this would take too long, those of small groups are drawn as ever, and the rest of the large
groups' is normal, with the mean and the covariance that the permutation has given what was drawn.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

WORK = 5_000_000  # cells × draws that are drawn one by one, less than a second
LARGE = 100.0  # variance of a group's hits, from which on the normal distribution may stand for them
FEW_GROUPS = 1500  # whose covariance is held whole
HIT, PICTURE = 0.06, 0.01  # cost of drawing a hit, and of laying out a picture, of that of drawing a cell
LAID_OUT = 10_000_000  # pictures, at most
MOST = 10**9  # pictures that numpy's hypergeometric draw can hold

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Permuted:
    """Draws for T groups (T, C) of cells with n (C,) pictures, `hits` of which are hits.

    variance: (T,) of the hits of each group. width: numbers held for each draw. words: how it is drawn.
    """

    def __init__(self, n: Ints, hits: int, groups: "sp.csr_array", variance: Floats, draws: int) -> None:
        total = int(n.sum())
        long = len(n) * draws > WORK or total >= MOST
        self.hits, self.large = hits, (variance >= LARGE) & long
        near: npt.NDArray[np.bool_] = np.ones(len(n), bool)
        if self.large.any():
            near = np.asarray(groups[~self.large].sum(axis=0)).reshape(-1) > 0
        self.near, self.rest = n[near], int(n[~near].sum())
        self.groups = groups[:, near]
        self.noise = Noise(n[~near], groups[self.large][:, ~near]) if self.large.any() else None
        self.width = len(self.near) + (self.noise.width if self.noise else 0)
        self.words = "permutation of attributes, exact on the counts"
        if self.noise:
            self.words += " for small groups, normal with the same covariance for large ones"

    def __call__(self, rng: np.random.Generator, draws: int) -> Ints:
        """(T, draws) hits."""
        size = int(self.near.sum())
        here = _part(size, self.rest, self.hits, rng, draws)
        out = np.asarray(self.groups @ _cells(self.near, here, rng).T)
        if self.noise is not None and self.rest > 1:
            left = self.hits - here
            spread = np.sqrt(np.maximum(left * (1 - left / self.rest) / (self.rest - 1), 0.0))
            out[self.large] += np.rint(self.noise.share[:, None] * left + self.noise(rng, draws) * spread).astype(
                np.int64
            )
        return out


def _part(size: int, rest: int, hits: int, rng: np.random.Generator, draws: int) -> Ints:
    """Hits (draws,) among `size` pictures, where `rest` others share them."""
    if not rest:
        return np.full(draws, hits)
    if size + rest >= MOST:
        return np.minimum(rng.binomial(size, hits / (size + rest), draws), hits)
    return rng.hypergeometric(size, rest, hits, draws)


def _cells(n: Ints, hits: Ints, rng: np.random.Generator) -> Ints:
    """Hits (draws, C) of cells with n (C,) pictures, where each draw has so many of them in all."""
    size = int(n.sum())
    if not size:
        return np.zeros((len(hits), len(n)), np.int64)
    if size >= MOST:  # so many cells of small groups have few hits: with and without returning is the same
        return rng.multinomial(hits, n / size)
    same = bool((hits == hits[0]).all())
    laid_out = (
        PICTURE * size * (not same) + HIT * min(int(hits.mean()), size - int(hits.mean())) < len(n) and size <= LAID_OUT
    )
    method: Literal["count", "marginals"] = "count" if laid_out else "marginals"
    if same:
        return rng.multivariate_hypergeometric(n, int(hits[0]), len(hits), method=method)
    return np.array([rng.multivariate_hypergeometric(n, one, method=method) for one in hits.tolist()])


class Noise:
    """Normal noise of T groups (T, C) of cells with n (C,) pictures: its covariance is |g and h| - |g| |h| / N.

    share: (T,) |g| / N. It is made by cell, whose own noise is independent; by group where those are so few that it is faster.
    """

    def __init__(self, n: Ints, groups: "sp.csr_array") -> None:
        self.share = np.asarray(groups @ n, np.float64) / max(float(n.sum()), 1.0)
        self.cells, self.groups = np.sqrt(n), groups.astype(np.float64)
        self.root = covariance_root(n, groups)[0] if len(self.share) <= FEW_GROUPS else None
        self.width = self.root.shape[1] if self.root is not None else len(n)

    def __call__(self, rng: np.random.Generator, draws: int) -> Floats:
        """(T, draws)."""
        noise = rng.standard_normal((self.width, draws))
        if self.root is not None:
            return np.asarray(self.root @ noise)
        by_cell = self.cells[:, None] * noise
        return np.asarray(self.groups @ by_cell - self.share[:, None] * by_cell.sum(axis=0))


def covariance_root(n: Ints, groups: "sp.csr_array") -> tuple[Floats, Floats]:
    """A matrix (T, R) whose product with its transpose is |g and h| - |g| |h| / N, and |g| / N (T,), of groups (T, C) of n (C,) pictures."""
    sizes, total = np.asarray(groups @ n, np.float64), max(float(n.sum()), 1.0)
    covariance = ((groups * n).tocsr() @ groups.T).toarray() - np.outer(sizes, sizes) / total
    values, vectors = np.linalg.eigh(covariance)
    kept = values > values.max(initial=0.0) * 1e-12
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept])), sizes / total
