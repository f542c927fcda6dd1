"""Clusters that may overlap: begun by the most confused pair, grown by who is confused most with all of them."""

import numpy as np

from secondlook.pipeline.learn.clusters.links import Doubles, Links

SIZE = 8  # classes in a cluster at most, where nothing else is said

Pair = tuple[int, int]


def greedy(links: Links, n: int, largest: int) -> list[tuple[int, ...]]:
    """Up to `n` clusters (0: as many as there are) of 2 to `largest` classes (0: 8), each ascending, the strongest first.

    Each begins with the pair whose link is the strongest that no cluster holds yet, and takes in, one by one, the class whose
    links to it that are not held yet exceed most what chance gives (see coverage.py). So a class that is confused with two
    clusters may be in both, and a link counts only once.
    """
    degrees, total = links.degrees(), links.total
    held: set[Pair] = set()
    rows = links.rows()
    upper = np.flatnonzero(rows < links.others)
    order = upper[np.argsort(-links.weights[upper], kind="stable")]
    found: list[tuple[int, ...]] = []
    for place in order:
        if n and len(found) == n:
            break
        pair = (int(rows[place]), int(links.others[place]))
        if pair in held or links.weights[place] <= degrees[pair[0]] * degrees[pair[1]] / total:
            continue
        cluster = _grown(links, pair, largest or SIZE, degrees, total, held)
        held.update((a, b) for a in cluster for b in cluster if a < b)
        found.append(tuple(cluster))
    return found


def _grown(links: Links, pair: Pair, largest: int, degrees: Doubles, total: float, held: set[Pair]) -> list[int]:
    """A cluster from its first pair on."""
    members: list[int] = []
    gains: dict[int, float] = {}  # of classes linked to the members

    def take(one: int) -> None:
        members.append(one)
        gains.pop(one, None)
        others, weights = links.of(one)
        for other, weight in zip(others.tolist(), weights.tolist(), strict=True):
            if other not in members and (min(one, other), max(one, other)) not in held:
                gains[other] = gains.get(other, 0.0) + weight

    take(pair[0])
    take(pair[1])
    while len(members) < largest and gains:
        chance = degrees[members].sum() / total
        beyond, best = max((gain - degrees[other] * chance, -other) for other, gain in gains.items())
        if beyond <= 0:
            break
        take(-best)
    return sorted(members)
