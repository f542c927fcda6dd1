"""Clusters of the classes that a model confuses, by one of three methods, as many as asked for or as a criterion chooses."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from secondlook.pipeline.core.errors import unknown
from secondlook.pipeline.learn.clusters.answers import Answers, confusion, together
from secondlook.pipeline.learn.clusters.background import bonds
from secondlook.pipeline.learn.clusters.columns import by_columns
from secondlook.pipeline.learn.clusters.greedy import greedy
from secondlook.pipeline.learn.clusters.links import Links
from secondlook.pipeline.learn.clusters.pairs import Cluster, excess

SUMS = {"covariance": together, "confusion": confusion, "greedy": confusion}
METHODS = tuple(SUMS)
EACH = 40  # numbers up to which each one is tried; beyond, every tenth part more


@dataclass(frozen=True)
class Tried:
    """A number of clusters, and the excess that it reached."""

    n: int
    excess: float


def links_of(answers: Answers, method: str) -> Links:
    """The bonds that a method looks at; UserError for a method that is none."""
    if method not in SUMS:
        raise unknown("method", method, METHODS)
    return bonds(SUMS[method](answers))


def find(links: Links, method: str, n: int = 0, largest: int = 0, seed: int = 0) -> list[Cluster]:
    """Clusters of the classes that `links` (of `links_of`) bind: class numbers, ascending; the strongest first.

    `n`: how many; 0: as many as `tried` finds best, or with `greedy`, whose clusters may overlap, as it takes. `largest`:
    classes in one cluster at most; 0: no limit, with `greedy` 8. `greedy` takes numpy alone.
    """
    if method == "greedy":
        return greedy(links, n, largest)
    return by_columns(links, n or best(tried(links, largest, seed)), largest, seed)


def tried(links: Links, largest: int, seed: int) -> list[Tried]:
    """What each number of clusters holds of the bonds beyond chance, by k-means."""
    most = int((links.degrees() > 0).sum()) // 2
    return [Tried(n, excess(links, by_columns(links, n, largest, seed))) for n in _numbers(most)]


def best(candidates: list[Tried]) -> int:
    """The number with the largest excess, the smallest of several; 1 where nothing was tried."""
    return max(candidates, key=lambda one: (one.excess, -one.n)).n if candidates else 1


def _numbers(most: int) -> Iterator[int]:
    n = 1
    while n <= most:
        yield n
        n = max(n + 1, round(n * 1.1)) if n >= EACH else n + 1


def classes_in(clusters: list[Cluster]) -> int:
    """How many classes are in any cluster."""
    return len(np.unique([one for cluster in clusters for one in cluster]))
