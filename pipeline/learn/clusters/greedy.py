"""Clusters that may overlap: begun by the most confused pair, grown by who is confused most with all of them."""

import numpy as np

from secondlook.pipeline.learn.clusters.links import Doubles, Links
from secondlook.pipeline.learn.clusters.pairs import Cluster

SIZE = 8  # classes in a cluster at most, where nothing else is said
SERVED = 0.5  # a class whose bonds are held to this share begins no further cluster

Pair = tuple[int, int]


def greedy(bonds: Links, n: int, largest: int) -> list[Cluster]:
    """Up to `n` clusters of 2 to `largest` classes (0: 8), in the order in which they are found.

    Each begins with the strongest bond that no cluster holds yet, and takes in, one by one, the class whose bonds to it that
    are not held yet exceed most what chance gives (pairs.py). So a class that is confused with two clusters may be in both,
    and a bond counts only once. n = 0: until of every class clusters hold half of its bonds.

    After the greedy pairs of Arnold 2016, which did better than k-means on CIFAR-10 and CIFAR-100.
    """
    degrees, total = bonds.degrees(), bonds.total
    served = np.zeros(bonds.n_classes)
    held: set[Pair] = set()
    rows = bonds.rows()
    upper = np.flatnonzero(rows < bonds.others)
    order = upper[np.argsort(-bonds.weights[upper], kind="stable")]
    found: list[Cluster] = []
    for first, second in zip(rows[order].tolist(), bonds.others[order].tolist(), strict=True):
        if n and len(found) == n:
            break
        enough = not n and served[first] >= SERVED * degrees[first] and served[second] >= SERVED * degrees[second]
        if enough or (first, second) in held:
            continue
        cluster = _grown(bonds, (first, second), largest or SIZE, degrees / total, held)
        _hold(bonds, cluster, held, served)
        found.append(tuple(cluster))
    return found


def _grown(bonds: Links, pair: Pair, largest: int, parts: Doubles, held: set[Pair]) -> list[int]:
    """A cluster from its first pair on. `parts` (K,): each class's part of all weight."""
    members: list[int] = []
    gains: dict[int, float] = {}  # of classes with bonds to the members

    def take(one: int) -> None:
        members.append(one)
        gains.pop(one, None)
        others, weights = bonds.of(one)
        for other, weight in zip(others.tolist(), weights.tolist(), strict=True):
            if other not in members and (min(one, other), max(one, other)) not in held:
                gains[other] = gains.get(other, 0.0) + weight

    take(pair[0])
    take(pair[1])
    inside = float(parts[members].sum() * bonds.total)
    while len(members) < largest and gains:
        beyond, best = max((gain - parts[other] * inside, -other) for other, gain in gains.items())
        if beyond <= 0:
            break
        take(-best)
        inside += float(parts[-best] * bonds.total)
    return sorted(members)


def _hold(bonds: Links, cluster: list[int], held: set[Pair], served: Doubles) -> None:
    """Note that a cluster holds the bonds among its classes."""
    for one in cluster:
        for other, weight in zip(*(part.tolist() for part in bonds.of(one)), strict=True):
            pair = (one, other)
            if one < other and pair not in held and other in cluster:
                held.add(pair)
                served[[one, other]] += weight
