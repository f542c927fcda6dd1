"""Which classes get confused, and the few that a task shows first.

People are quick and sure among a few classes, and slow in a list of hundreds. So classes that the model confuses form small
clusters, and a task shows two of them. Which two follows from the picture, the number does not: a sure label, a doubted one,
a gold question and one that is there by chance all look alike, and classes come in the order of their names.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from secondlook.labeling.acquire.beliefs import Beliefs

Codes = npt.NDArray[np.int64]

CONFUSED = 3  # classes of a picture, the most probable ones, that count as confused with each other
ROWS = 1 << 18  # pictures that are counted at once
PART = 20  # characters of a class's name in the name of a group


def confusions(classes: npt.NDArray[np.int32], probs: npt.NDArray[np.float32], k: int) -> sparse.csr_matrix:
    """How often K classes are confused, (K, K), symmetric, nothing on the diagonal: what clusters are made from.

    classes, probs: (N, J), the most probable classes of each picture, -1 for none. Two classes are as confused as the sum over pictures
    of the product of their probabilities, over the geometric mean of how many pictures each has: what is left of the covariance
    of predictions (Hinton, Vinyals and Dean 2015, section 5.1) where probabilities are sparse, free of how frequent classes are.
    """
    total: sparse.csr_matrix = sparse.csr_matrix((k, k), dtype=np.float64)
    size = np.zeros(k)
    for start in range(0, len(classes), ROWS):
        names = np.maximum(classes[start : start + ROWS, :CONFUSED], 0)
        values = np.where(classes[start : start + ROWS, :CONFUSED] >= 0, probs[start : start + ROWS, :CONFUSED], 0.0)
        values = values.astype(np.float64)
        size += np.bincount(names.ravel(), values.ravel(), minlength=k)
        for a in range(names.shape[1]):
            for b in range(a):
                both = values[:, a] * values[:, b]
                total = total + sparse.csr_matrix((both, (names[:, a], names[:, b])), shape=(k, k))
    scale = sparse.diags(1.0 / np.sqrt(np.maximum(size, 1e-12)))
    return sparse.csr_matrix(scale @ (total + total.T) @ scale)


def clusters(confused: sparse.csr_matrix, most: int) -> Codes:
    """The cluster of each class, (K,), numbered by their first class; none larger than `most`.

    The most confused pair is joined first, then the next, wherever the union is small enough (Kruskal's order with a cap).

    >>> pairs = sparse.csr_matrix(np.array([[0, 9, 0], [9, 0, 3], [0, 3, 0]]))
    >>> clusters(pairs, 2).tolist(), clusters(pairs, 3).tolist()
    ([0, 0, 1], [0, 0, 0])
    """
    k = confused.shape[0]
    root, size = np.arange(k), np.ones(k, np.int64)

    def find(n: int) -> int:
        while root[n] != n:
            root[n] = root[root[n]]
            n = int(root[n])
        return n

    pairs = sparse.triu(confused, 1).tocoo()
    for n in np.lexsort((pairs.col, pairs.row, -pairs.data)):
        a, b = sorted((find(int(pairs.row[n])), find(int(pairs.col[n]))))
        if pairs.data[n] > 0 and a != b and size[a] + size[b] <= most:
            root[b], size[a] = a, size[a] + size[b]
    return np.unique([find(n) for n in range(k)], return_inverse=True)[1].reshape(-1).astype(np.int64)


def shown(beliefs: Beliefs, cluster: Codes, known: npt.NDArray[np.int32] | None = None) -> npt.NDArray[np.int64]:
    """The two clusters that each of n tasks shows, (n, 2), the smaller number first; -1, -1 where nothing is known of it.

    One is that of the most probable class. The other is that of the label that holds (or of a `known` class (n,), -1 for none, of
    gold), where it is not in the first, else that of the most probable class outside of the first.
    """
    names, probs = beliefs.classes, np.where(beliefs.classes >= 0, beliefs.probs, -1.0)
    n = len(names)
    of = np.where(names >= 0, cluster[np.maximum(names, 0)], -1)
    at = np.arange(n)
    first = of[at, np.argmax(probs, axis=1)] if n else np.zeros(0, np.int64)
    outside = np.where(of == first[:, None], -1.0, probs)
    best = np.argmax(outside, axis=1) if n else np.zeros(0, np.int64)
    second = np.where(outside[at, best] >= 0, of[at, best], first)
    held = np.where(beliefs.held >= 0, cluster[np.maximum(beliefs.held, 0)], -1)
    asked = held if known is None else np.where(known >= 0, cluster[np.maximum(known, 0)], held)
    second = np.where((asked >= 0) & (asked != first), asked, second)
    pair = np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1)
    only = (names >= 0).sum(axis=1) < 2  # one class says nothing of what it is confused with
    return np.where(only[:, None], -1, pair)


def members(pair: tuple[int, int], cluster: Codes) -> list[int]:
    """The classes of two clusters, by number: the order of their names, which gives nothing away."""
    return [int(n) for n in np.flatnonzero(np.isin(cluster, pair))]


def group_name(names: Sequence[str]) -> str:
    """What a group of tasks is called: its classes, the long ones cut.

    >>> group_name(["cat", "dog"])
    'cat / dog'
    """
    cut = (name if len(name) <= PART else name[: PART - 1] + "…" for name in names)
    return " / ".join(" ".join(name.split()) for name in cut)
