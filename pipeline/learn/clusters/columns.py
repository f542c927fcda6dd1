"""k-means on the columns of the links: classes are alike that are confused with the same others."""

import numpy as np

from secondlook.pipeline.learn.clusters.links import Links

WIDTH = 128  # of what columns are shortened to where there are many
SHORTENED = 2000  # classes from which columns are shortened


def by_columns(links: Links, n: int, largest: int, seed: int) -> list[tuple[int, ...]]:
    """Up to `n` clusters of at most `largest` classes (0: no limit); a class is in one of them or, where it has no more to do
    with the others there than chance gives, in none.

    A column is scaled to length one: who a class is confused with, not how often. Its own place, where a covariance has the
    variance, holds its strongest link instead: else each class would be most like itself and far from all others.
    """
    there = np.flatnonzero(links.degrees() > 0)
    if len(there) < 2:
        return []
    among = links.among(there)
    numbers = _k_means(among, min(n, len(there)), seed)
    groups = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]
    found: list[tuple[int, ...]] = []
    while groups:
        group = groups.pop()
        if largest and len(group) > largest:
            groups.extend(_cut(among, group, largest, seed))
        else:
            found.append(tuple(there[group].tolist()))
    return linked_only(links, found)


def _k_means(links: Links, n: int, seed: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """(K,) number of each class's cluster."""
    from sklearn.cluster import KMeans

    if n >= links.n_classes:
        return np.arange(links.n_classes)
    found = KMeans(n, n_init=4, random_state=seed).fit(columns(links, seed))
    return np.asarray(found.labels_, np.int64)


def columns(links: Links, seed: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """(K, width) each class's column, scaled to length one; shortened by SVD where there are many classes."""
    strongest = np.zeros(links.n_classes)
    np.maximum.at(strongest, links.rows(), links.weights)
    strongest[strongest == 0] = 1.0
    if links.n_classes <= SHORTENED:
        matrix = links.dense() + np.diag(strongest)
        return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True))
    from scipy import sparse
    from sklearn.decomposition import TruncatedSVD

    each = np.arange(links.n_classes)
    rows, others = np.concatenate([links.rows(), each]), np.concatenate([links.others, each])
    weights = np.concatenate([links.weights, strongest])
    lengths = np.sqrt(np.bincount(rows, weights**2, links.n_classes))
    matrix = sparse.csr_array((weights / lengths[rows], (rows, others)), shape=(links.n_classes, links.n_classes))
    short = TruncatedSVD(WIDTH, random_state=seed).fit_transform(sparse.csr_matrix(matrix))
    return np.asarray(short / np.maximum(np.linalg.norm(short, axis=1, keepdims=True), 1e-12))


def _cut(
    links: Links, group: "np.ndarray[tuple[int], np.dtype[np.int64]]", largest: int, seed: int
) -> list["np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    """A group that is too large, as parts: by k-means again, or into equal ones where that finds nothing to part."""
    n = -(-len(group) // largest)
    inside = links.among(group)
    numbers = _k_means(inside, n, seed) if inside.total else np.zeros(len(group), np.int64)
    parts = [group[numbers == number] for number in np.unique(numbers)]
    return parts if len(parts) > 1 else [np.asarray(part) for part in np.array_split(group, n)]


def linked_only(links: Links, clusters: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Clusters without the classes that have no more to do with the others than chance gives, the strongest first."""
    degrees, total = links.degrees(), links.total
    kept: list[tuple[float, tuple[int, ...]]] = []
    for cluster in clusters:
        members = np.array(sorted(cluster))
        while len(members) > 1:
            inside = links.among(members).degrees()
            beyond = inside - degrees[members] * (degrees[members].sum() - degrees[members]) / total
            if beyond.min() > 0:
                kept.append((float(inside.sum()), tuple(members.tolist())))
                break
            members = np.delete(members, int(beyond.argmin()))
    return [cluster for _, cluster in sorted(kept, key=lambda one: (-one[0], one[1]))]
