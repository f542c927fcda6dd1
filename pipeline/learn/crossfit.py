"""K folds, so that no picture's probability comes from a model that has seen its label, or a copy of it."""

import heapq

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.floating]


def assign_folds(labels: Ints, groups: Ints, n_folds: int, rng: np.random.Generator) -> Ints:
    """The fold (N,) of each picture, in 0..n_folds-1: groups stay together, classes are spread evenly.

    `labels`: (N,) in 0..K-1. `groups`: (N,) any integers; pictures of one group are copies of each other. First the
    groups of several, largest first, each to the fold that has fewest of its class; then the single ones fill up.
    """
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n_classes = int(labels.max(initial=-1)) + 1
    counts = np.zeros((n_classes, n_folds), np.int64)
    folds = np.full(len(labels), -1, np.int64)
    several = np.flatnonzero(sizes > 1)
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(sizes)[:-1]) if len(sizes) else []
    for one in several[np.lexsort((rng.permutation(len(several)), -sizes[several]))]:
        held = np.bincount(labels[members[one]], minlength=n_classes)
        load = (held @ counts).astype(np.float64)
        fold = int(np.lexsort((counts.sum(axis=0), load))[0])
        folds[members[one]] = fold
        counts[:, fold] += held
    totals = counts.sum(axis=0)
    for label in range(n_classes):
        single = rng.permutation(np.flatnonzero((labels == label) & (folds < 0)))
        folds[single] = _emptiest(counts[label], totals, len(single))
    return folds


def _emptiest(counts: Ints, totals: Ints, n: int) -> list[int]:
    """n folds, each the one with the fewest of this class so far, then the fewest of all; `totals` is kept up."""
    heap = [(int(counts[fold]), int(totals[fold]), fold) for fold in range(len(counts))]
    heapq.heapify(heap)
    places = []
    for _ in range(n):
        count, total, fold = heap[0]
        heapq.heapreplace(heap, (count + 1, total + 1, fold))
        totals[fold] += 1
        places.append(fold)
    return places


def trusted(labels: Ints, probs: Reals, *, margin: float = 0.2, keep: float = 0.5) -> npt.NDArray[np.bool_]:
    """(N,) which labels the next fit may learn from.

    Those that the out-of-sample probs (N, K) find at most `margin` less probable than another class: to leave out all
    that are not on top would leave out the hard ones with the wrong ones. And of each class at least the share `keep`,
    those that are doubted least: a class that the model never predicts, because it is rare or hard, must not lose all
    it could be learned from. A label of -1 is not trusted.
    """
    known = np.flatnonzero(labels >= 0)
    given = probs[known, labels[known]]
    others = probs[known].copy()
    others[np.arange(len(known)), labels[known]] = -1.0
    doubt = others.max(axis=1) - given
    order = np.lexsort((doubt, labels[known]))
    sizes = np.bincount(labels[known])
    starts = np.cumsum(sizes) - sizes
    rank = np.empty(len(known), np.int64)
    rank[order] = np.arange(len(known)) - np.repeat(starts, sizes)
    result = np.zeros(len(labels), np.bool_)
    result[known] = (doubt <= margin) | (rank < np.ceil(keep * sizes[labels[known]]))
    return result


def without_crowds(groups: Ints, limit: int, *, finer: Ints) -> Ints:
    """(N,) groups of at most `limit` pictures: larger ones fall apart into those of `finer` (N,), and again into single
    pictures. What a great part of the data shares says nothing of copies.

    >>> without_crowds(np.array([5, 5, 5, 2]), 2, finer=np.array([8, 8, 9, 1])).tolist()
    [1, 1, 2, 0]
    """
    result = np.zeros(len(groups), np.int64)
    crowded = np.ones(len(groups), np.bool_)
    singles = np.arange(len(groups))
    for step, tied in enumerate((groups, finer, singles)):
        _, group, sizes = np.unique(tied, return_inverse=True, return_counts=True)
        fits = crowded & ((sizes[group] <= limit) | (step == 2))
        result[fits] = group[fits] + step * len(groups)
        crowded &= ~fits
    return np.unique(result, return_inverse=True)[1].astype(np.int64)


def components(n: int, first: Ints, second: Ints) -> Ints:
    """(n,) number of the connected component of each of n pictures, linked by the pairs `first`, `second`."""
    links = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def majority(owner: Ints, labels: Ints, n: int) -> Ints:
    """(n,) label of each of n contents that most of its samples bear; -1 without a label, or where two are level.

    `owner`, `labels`: (S,) content and label of each sample; a label of -1 does not count.

    >>> majority(np.array([0, 0, 0, 1, 1, 2]), np.array([4, 4, 5, 4, 5, -1]), 3).tolist()
    [4, -1, -1]
    """
    result = np.full(n, -1, np.int64)
    known = labels >= 0
    pairs, votes = np.unique(np.stack([owner[known], labels[known]]), axis=1, return_counts=True)
    order = np.lexsort((-votes, pairs[0]))
    content, label, votes = pairs[0][order], pairs[1][order], votes[order]
    first = np.flatnonzero(np.concatenate([[True], content[1:] != content[:-1]])) if len(content) else order
    result[content[first]] = label[first]
    second = first[first + 1 < len(content)]
    level = (content[second + 1] == content[second]) & (votes[second + 1] == votes[second])
    result[content[second[level]]] = -1
    return result
