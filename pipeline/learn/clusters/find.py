"""Clusters by one of three methods."""

from secondlook.pipeline.core.errors import unknown
from secondlook.pipeline.learn.clusters.answers import Answers, confusion, covariance
from secondlook.pipeline.learn.clusters.columns import by_columns
from secondlook.pipeline.learn.clusters.greedy import greedy
from secondlook.pipeline.learn.clusters.links import Links

LINKS = {"covariance": covariance, "confusion": confusion, "greedy": confusion}
METHODS = tuple(LINKS)


def links_of(answers: Answers, method: str) -> Links:
    """What a method looks at: one line of `LINKS`; UserError for a method that is none."""
    if method not in LINKS:
        raise unknown("method", method, METHODS)
    return LINKS[method](answers)


def find(links: Links, method: str, n: int, largest: int = 0, seed: int = 0) -> list[tuple[int, ...]]:
    """Up to `n` clusters, each its classes' numbers ascending, of at most `largest` classes, the strongest first.

    `greedy`: may overlap, needs numpy only, and takes n = 0: as many as hold any confusion beyond chance; largest = 0: 8.
    """
    if method == "greedy":
        return greedy(links, n, largest)
    return by_columns(links, n, largest, seed)
