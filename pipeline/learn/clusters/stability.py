"""How much clusters hang on the pictures that happened to be there: they are found again on bootstrap draws of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from secondlook.pipeline.learn.clusters.answers import Answers, mistakes
from secondlook.pipeline.learn.clusters.pairs import Cluster, agreement, coverage, excess


@dataclass(frozen=True)
class Spread:
    """A mean over draws, and the bounds that 95 of 100 draws lie between."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Stability:
    """`rand`: adjusted Rand index of the clusters of a draw and those of all pictures. `each`, in the order of the clusters: how
    much of one comes back in a draw, by Jaccard's index with what is most like it there, on average (Hennig 2007: below 0.6
    it should not be trusted). `coverage`, `excess`: what the clusters of a draw hold of the mistakes on the pictures that the
    draw left out, and of that what is beyond chance: it is not flattered by clusters that fit their own pictures."""

    draws: int
    rand: Spread
    coverage: Spread
    excess: Spread
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
    rands, held, beyond, likes = [], [], [], []
    for _ in range(draws):
        times = rng.multinomial(len(answers), np.full(len(answers), 1 / len(answers)))
        drawn = again(answers.at(np.repeat(np.arange(len(answers)), times)))
        left_out = mistakes(answers.at(np.flatnonzero(times == 0)))
        rands.append(agreement(found, drawn, answers.n_classes))
        held.append(coverage(left_out, drawn))
        beyond.append(excess(left_out, drawn))
        likes.append([_most_like(frozenset(one), [frozenset(other) for other in drawn]) for one in found])
        advance(1)
    each = tuple(np.mean(likes, axis=0).tolist())
    return Stability(draws, _spread(rands), _spread(held), _spread(beyond), each)


def _spread(values: Sequence[float]) -> Spread:
    low, high = np.quantile(values, [0.025, 0.975])
    return Spread(float(np.mean(values)), float(low), float(high))


def _most_like(one: frozenset[int], others: Sequence[frozenset[int]]) -> float:
    return max((len(one & other) / len(one | other) for other in others), default=0.0)
