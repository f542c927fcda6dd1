"""How much clusters hang on the pictures that happened to be there: they are found again on bootstrap draws of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from secondlook.pipeline.learn.clusters.answers import Answers
from secondlook.pipeline.learn.clusters.pairs import Cluster, agreement


@dataclass(frozen=True)
class Stability:
    """`rand`: mean adjusted Rand index of what draws of pictures give and what all give; `low`, `high`: 95 of 100 draws lie
    between. `each` (as many as clusters): how much of a cluster comes back, by Jaccard's index with what is most like it in
    a draw, on average (Hennig 2007: below 0.6 it is not to be trusted, above 0.75 it is there)."""

    rand: float
    low: float
    high: float
    draws: int
    each: tuple[float, ...]


def stability(
    answers: Answers,
    found: Sequence[Cluster],
    again: Callable[[Answers], Sequence[Cluster]],
    draws: int,
    rng: np.random.Generator,
    advance: Callable[[int], None] = lambda n: None,
) -> Stability:
    """How stable the clusters `found` of some answers are. `again` finds clusters of others in the same way."""
    rands, likes = [], []
    for _ in range(draws):
        rows = np.sort(rng.integers(len(answers), size=len(answers)))
        drawn = [frozenset(one) for one in again(answers.at(rows))]
        rands.append(agreement(found, [tuple(sorted(one)) for one in drawn], answers.n_classes))
        likes.append([_most_like(frozenset(one), drawn) for one in found])
        advance(1)
    low, high = np.quantile(rands, [0.025, 0.975])
    return Stability(float(np.mean(rands)), float(low), float(high), draws, tuple(np.mean(likes, axis=0).tolist()))


def _most_like(one: frozenset[int], others: Sequence[frozenset[int]]) -> float:
    return max((len(one & other) / len(one | other) for other in others), default=0.0)
