"""Clusters as pairs of classes that stand together: what partitions and overlapping clusters have in common."""

from collections.abc import Sequence

import numpy as np

from secondlook.pipeline.learn.clusters.links import Ints, Links

Cluster = tuple[int, ...]  # class numbers, ascending


def pairs(clusters: Sequence[Cluster], n_classes: int) -> Ints:
    """Each pair of classes that stand in a cluster together, once and in order, as first · K + second, first < second."""
    parts = []
    for cluster in clusters:
        members = np.array(sorted(cluster), dtype=np.int64)
        first, second = np.triu_indices(len(members), 1)
        parts.append(members[first] * n_classes + members[second])
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int64)


def coverage(links: Links, clusters: Sequence[Cluster]) -> float:
    """Share of the weight that lies between two classes of one cluster; a link in two clusters counts once."""
    return _held(links, clusters)[0]


def excess(links: Links, clusters: Sequence[Cluster]) -> float:
    """The coverage beyond chance, -1 to 1.

    Chance is what clusters would hold if every class had as much weight as it has, but with others drawn by theirs. For
    clusters that don't overlap this is the modularity of Newman and Girvan 2004, but that no class is confused with itself.
    """
    covered, by_chance = _held(links, clusters)
    return covered - by_chance


def _held(links: Links, clusters: Sequence[Cluster]) -> tuple[float, float]:
    total, n = links.total, links.n_classes
    if not total:
        return 0.0, 0.0
    together = pairs(clusters, n)
    parts = links.degrees() / total
    by_chance = 2 * float((parts[together // n] * parts[together % n]).sum())
    rows = links.rows()
    inside = np.isin(rows * n + links.others, together)
    return 2 * float(links.weights[inside].sum()) / total, by_chance


def agreement(one: Sequence[Cluster], other: Sequence[Cluster], n_classes: int) -> float:
    """Adjusted Rand index of two clusterings, 1 where they are the same, about 0 by chance.

    In the form of pairs (Hubert and Arabie 1985, section 3), in which clusters may overlap; a class in no cluster is alone.
    """
    a, b = pairs(one, n_classes), pairs(other, n_classes)
    both = len(np.intersect1d(a, b, assume_unique=True))
    by_chance = len(a) * len(b) / max(1, n_classes * (n_classes - 1) // 2)
    most = (len(a) + len(b)) / 2
    return 1.0 if most == by_chance else (both - by_chance) / (most - by_chance)
