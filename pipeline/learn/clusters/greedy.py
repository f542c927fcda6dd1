"""Clusters that may overlap: begun by the most confused pair, grown by who is confused most with all of them."""

import math

import numpy as np

from secondlook.pipeline.learn.clusters.background import FALSE, Confused, surprise
from secondlook.pipeline.learn.clusters.links import Doubles, Ints, Links
from secondlook.pipeline.learn.clusters.pairs import Cluster

SIZE = 8  # classes in a cluster at most, where nothing else is said
SERVED = 1 / 3  # a class whose bonds are held to this share begins no further cluster


def greedy(seen: Confused, n: int, largest: int) -> list[Cluster]:
    """Up to `n` clusters of 2 to `largest` classes (0: 8), and never of all, in the order in which they are found.

    Each begins with the strongest bond that no cluster holds yet. It takes in, one by one, the class that has the most with
    all of its classes together, of what no cluster holds yet and beyond chance (pairs.py), as long as that surely exceeds
    the background. So a class that is confused with two clusters may be in both, and a link counts only once. n = 0: until
    clusters hold a third of the bonds of every class.

    After the greedy pairs of Arnold 2016, which did better than k-means on CIFAR-10 and CIFAR-100.
    """
    bonds = seen.bonds
    most = min(largest or SIZE, max(2, bonds.n_classes - 1))  # a cluster of all classes says nothing
    degrees = seen.degrees / math.sqrt(float(seen.degrees.sum()) or 1.0)
    free, unheld = seen.links.weights.copy(), bonds.weights.copy()
    enough = (1 - SERVED) * bonds.degrees()
    unserved = bonds.degrees()
    rows = bonds.rows()
    upper = np.flatnonzero(rows < bonds.others)
    found: list[Cluster] = []
    for entry in upper[np.argsort(-bonds.weights[upper], kind="stable")]:
        if n and len(found) == n:
            break
        pair = rows[entry], bonds.others[entry]
        if unheld[entry] == 0 or (not n and max(unserved[one] - enough[one] for one in pair) <= 0):
            continue
        cluster = _grown(seen, free, degrees, [int(one) for one in pair], most)
        for one in cluster:
            free[_entries(seen.links, one, cluster)] = 0.0
            held = _entries(bonds, one, cluster)
            unserved[one] -= unheld[held].sum()
            unheld[held] = 0.0
        found.append(tuple(cluster.tolist()))
    return found


def _grown(seen: Confused, free: Doubles, degrees: Doubles, members: list[int], largest: int) -> Ints:
    """A cluster from its first pair on, ascending. `free` (E,): the links' weights that no cluster holds yet; `degrees` (K,):
    what classes have by chance, as factors."""
    links, usual = seen.links, seen.usual
    needed = math.log(links.n_classes / FALSE)
    gains = np.zeros(links.n_classes)
    for one in members:
        _add(links, free, one, gains)
    while len(members) < largest:
        beyond = gains - degrees * degrees[members].sum()
        beyond[members] = 0.0
        some = np.flatnonzero(beyond > 0)
        sure = surprise(gains[some] / seen.grain, usual[some] * usual[members].sum() / seen.grain) > needed
        if not sure.any():
            break
        members.append(int(some[sure][beyond[some[sure]].argmax()]))
        _add(links, free, members[-1], gains)
    return np.array(sorted(members))


def _add(links: Links, free: Doubles, one: int, gains: Doubles) -> None:
    part = slice(links.starts[one], links.starts[one + 1])
    gains[links.others[part]] += free[part]


def _entries(links: Links, one: int, others: Ints) -> Ints:
    """Where the links of a class to some others, ascending, stand."""
    first, last = links.starts[one], links.starts[one + 1]
    return np.asarray(first + np.flatnonzero(np.isin(links.others[first:last], others)), np.int64)
