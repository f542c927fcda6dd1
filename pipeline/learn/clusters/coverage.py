"""How much of the confusion clusters hold, and how much they would hold by chance."""

from collections.abc import Sequence

import numpy as np

from secondlook.pipeline.learn.clusters.links import Links


def coverage(links: Links, clusters: Sequence[tuple[int, ...]]) -> float:
    """Share of the weight that lies between two classes of one cluster; a link in two clusters counts once."""
    return _held(links, clusters)[0]


def chance(links: Links, clusters: Sequence[tuple[int, ...]]) -> float:
    """The coverage where each class has the links that it has, but with classes drawn by their weights: what is expected of
    classes that have nothing to do with one another (Newman and Girvan 2004)."""
    return _held(links, clusters)[1]


def excess(links: Links, clusters: Sequence[tuple[int, ...]]) -> float:
    """Coverage beyond chance: of clusters that don't overlap, the modularity, but without the chance of a class to be confused with itself."""
    covered, by_chance = _held(links, clusters)
    return covered - by_chance


def _held(links: Links, clusters: Sequence[tuple[int, ...]]) -> tuple[float, float]:
    total = links.total
    if not total:
        return 0.0, 0.0
    pairs = _pairs(clusters, links.n_classes)
    degrees = links.degrees() / total
    expected = 2 * float((degrees[pairs // links.n_classes] * degrees[pairs % links.n_classes]).sum())
    rows = links.rows()
    upper = rows < links.others
    inside = np.isin(rows[upper] * links.n_classes + links.others[upper], pairs)
    return 2 * float(links.weights[upper][inside].sum()) / total, expected


def _pairs(clusters: Sequence[tuple[int, ...]], n_classes: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Each pair of classes that stand in a cluster together, once, as first · K + second, first < second."""
    parts = []
    for cluster in clusters:
        members = np.array(sorted(cluster), dtype=np.int64)
        first, second = np.triu_indices(len(members), 1)
        parts.append(members[first] * n_classes + members[second])
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int64)
