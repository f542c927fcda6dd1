"""k-means on the columns of the bonds: classes are alike that are confused with the same others."""

import warnings
from typing import Any

import numpy as np

from secondlook.pipeline.learn.clusters.links import Ints, Links
from secondlook.pipeline.learn.clusters.pairs import Cluster

DENSE = 500  # classes up to which columns are a whole matrix
STARTS = 4  # of k-means, of which the best one counts; one where columns are sparse


def by_columns(bonds: Links, n: int, largest: int, seed: int) -> list[Cluster]:
    """Clusters of at least two classes, each class in one or none, the heaviest first: `n`, or fewer where some are of one class
    alone, or more where those with more than `largest` classes (0: no limit) are cut.

    In no cluster is a class without a bond, or one that has no more to do with its cluster than chance gives.
    """
    there = np.flatnonzero(bonds.degrees() > 0)
    if len(there) < 2:
        return []
    among = bonds.among(there)
    numbers = _k_means(among, min(n, len(there) // 2), seed)  # each has two classes at least
    groups = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
    found: list[Cluster] = []
    while groups:
        group = groups.pop()
        if largest and len(group) > largest:
            groups.extend(_cut(among, group, largest, seed))
        else:
            found.append(tuple(there[group].tolist()))
    return _bound(bonds, found)


def columns(bonds: Links) -> Any:
    """(K, K) each class's column scaled to length one, so that it says who a class is confused with and not how often; a
    whole matrix or, of many classes, a sparse one.

    Its own place, where a covariance has the variance and a confusion matrix what was right, holds its strongest bond: else
    a class would be most like itself, and all would be equally far from one another.
    """
    from scipy import sparse  # noqa: PLC0415 — seconds that a machine with numpy alone need not have

    own = np.zeros(bonds.n_classes)
    rows = bonds.rows()
    np.maximum.at(own, rows, bonds.weights)
    each = np.arange(bonds.n_classes)
    rows, others = np.concatenate([rows, each]), np.concatenate([bonds.others, each])
    weights = np.concatenate([bonds.weights, own])
    lengths = np.sqrt(np.bincount(rows, weights**2, bonds.n_classes))
    scaled = sparse.csr_matrix(
        (weights / np.where(lengths > 0, lengths, 1.0)[rows], (rows, others)), shape=(bonds.n_classes,) * 2
    )
    return scaled.toarray() if bonds.n_classes <= DENSE else scaled


def _k_means(bonds: Links, n: int, seed: int) -> Ints:
    """(K,) number of each class's cluster."""
    from sklearn.cluster import KMeans  # noqa: PLC0415 — see above
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415

    if n >= bonds.n_classes:
        return np.arange(bonds.n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # fewer columns that differ than clusters: then there are fewer
        starts = STARTS if bonds.n_classes <= DENSE else 1
        return np.asarray(KMeans(n, n_init=starts, random_state=seed).fit(columns(bonds)).labels_, np.int64)


def _cut(bonds: Links, group: Ints, largest: int, seed: int) -> list[Ints]:
    """A group that is too large, in parts: by k-means again, or into equal ones where that finds nothing to part."""
    n = -(-len(group) // largest)
    inside = bonds.among(group)
    numbers = _k_means(inside, n, seed) if inside.total else np.zeros(len(group), np.int64)
    parts = [group[numbers == number] for number in np.unique(numbers)]
    return parts if len(parts) > 1 else np.array_split(group, n)


def _bound(bonds: Links, clusters: list[Cluster]) -> list[Cluster]:
    """Clusters without the classes that have no more to do with the others in them than chance gives, the heaviest first."""
    degrees, total = bonds.degrees(), bonds.total
    kept: list[tuple[float, Cluster]] = []
    for cluster in clusters:
        members = np.array(cluster)
        while len(members) > 1:
            inside = bonds.among(members).degrees()
            beyond = inside - degrees[members] * (degrees[members].sum() - degrees[members]) / total
            if beyond.min() > 0 or (len(members) == 2 and inside.min() > 0):
                kept.append((float(inside.sum()), tuple(members.tolist())))
                break
            members = np.delete(members, int(beyond.argmin()))
    return [cluster for _, cluster in sorted(kept, key=lambda one: (-one[0], one[1]))]
