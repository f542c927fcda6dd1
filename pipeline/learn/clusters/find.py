"""Clusters of the classes that a model confuses, by one of three methods, as many as asked for or as a criterion chooses."""

from dataclasses import dataclass

from secondlook.pipeline.core.errors import unknown
from secondlook.pipeline.learn.clusters.answers import Answers
from secondlook.pipeline.learn.clusters.background import Confused, confused
from secondlook.pipeline.learn.clusters.columns import by_columns
from secondlook.pipeline.learn.clusters.greedy import greedy
from secondlook.pipeline.learn.clusters.links import Links
from secondlook.pipeline.learn.clusters.pairs import Cluster, excess
from secondlook.pipeline.learn.clusters.sums import confusion, together

SUMS = {"covariance": together, "confusion": confusion, "greedy": together}
METHODS = tuple(SUMS)
EACH = 60  # numbers up to which each one is tried
FALLEN = 0.9  # where there are more: what of the best one's excess the last may be before larger ones are left out
CLOSE = 1.02  # … and how close to the best others are tried


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
    """What numbers of clusters, by k-means, hold of the bonds beyond chance, ascending.

    Each number up to half of the classes; where these are many, 1, 2, 4, 8 … until it falls, and then ever closer around the best.
    """
    most = int((bonds.degrees() > 0).sum()) // 2
    reached: dict[int, float] = {}

    def reach(n: int) -> None:
        if n not in reached and 1 <= n <= most:
            reached[n] = excess(bonds, by_columns(bonds, n, largest, seed))

    if most <= EACH:
        for n in range(1, most + 1):
            reach(n)
    else:
        n, step = 1, 2.0
        while n <= most and reached.get(n // 2, 0.0) >= FALLEN * max(reached.values(), default=0.0):
            reach(n)
            n *= 2
        while step > CLOSE:
            step = step**0.5
            top = max(reached, key=lambda one: (reached[one], -one))
            reach(round(top / step))
            reach(round(top * step))
    return [Tried(n, reached[n]) for n in sorted(reached)]


def best(candidates: list[Tried]) -> int:
    """The number with the largest excess, the smallest of several; 1 where nothing was tried."""
    return max(candidates, key=lambda one: (one.excess, -one.n)).n if candidates else 1
