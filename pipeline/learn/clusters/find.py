"""Clusters of the classes that a model confuses, by one of three methods, as many as asked for or as a criterion chooses."""

from collections.abc import Iterator
from dataclasses import dataclass

from secondlook.pipeline.core.errors import unknown
from secondlook.pipeline.learn.clusters.answers import Answers, confusion, together
from secondlook.pipeline.learn.clusters.background import Confused, confused
from secondlook.pipeline.learn.clusters.columns import by_columns
from secondlook.pipeline.learn.clusters.greedy import greedy
from secondlook.pipeline.learn.clusters.links import Links
from secondlook.pipeline.learn.clusters.pairs import Cluster, excess

SUMS = {"covariance": together, "confusion": confusion, "greedy": together}
METHODS = tuple(SUMS)
EACH = 40  # numbers up to which each one is tried; beyond, every tenth part more


@dataclass(frozen=True)
class Tried:
    """A number of clusters, and the excess that it reached."""

    n: int
    excess: float


def links_of(answers: Answers, method: str) -> Confused:
    """The links that a method looks at; UserError for a method that is none."""
    if method not in SUMS:
        raise unknown("method", method, METHODS)
    return confused(SUMS[method](answers))


def find(seen: Confused, method: str, n: int = 0, largest: int = 0, seed: int = 0) -> list[Cluster]:
    """Clusters of confused classes: class numbers, ascending; the strongest first.

    `seen`: what `links_of` makes of answers. `n`: how many; 0: as many as `tried` finds best, or with `greedy`, whose clusters
    may overlap, as it takes. `largest`: classes in one cluster at most; 0: no limit, with `greedy` 8. `greedy` takes numpy
    alone, the others scikit-learn.
    """
    if method == "greedy":
        return greedy(seen, n, largest)
    return by_columns(seen.bonds, n or best(tried(seen.bonds, largest, seed)), largest, seed)


def tried(bonds: Links, largest: int, seed: int) -> list[Tried]:
    """What each number of clusters, by k-means, holds of the bonds beyond chance."""
    most = int((bonds.degrees() > 0).sum()) // 2
    return [Tried(n, excess(bonds, by_columns(bonds, n, largest, seed))) for n in _numbers(most)]


def best(candidates: list[Tried]) -> int:
    """The number with the largest excess, the smallest of several; 1 where nothing was tried."""
    return max(candidates, key=lambda one: (one.excess, -one.n)).n if candidates else 1


def _numbers(most: int) -> Iterator[int]:
    n = 1
    while n <= most:
        yield n
        n = max(n + 1, round(n * 1.1)) if n >= EACH else n + 1
