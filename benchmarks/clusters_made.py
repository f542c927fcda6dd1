"""Predictions with planted clusters: what benchmarks of clusters are measured on, since there the truth is known."""

import numpy as np

from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.learn.clusters.answers import Answers
from secondlook.pipeline.learn.clusters.pairs import Cluster

# Sizes of the planted clusters, and how many classes are in none.
SHAPES: dict[str, tuple[tuple[int, ...], int]] = {
    "20 classes, 6 small clusters": ((3, 3, 2, 2, 3, 2), 5),
    "100 classes, 15 clusters of 2 to 8": ((8, 7, 6, 5, 5, 5, 4, 4, 4, 3, 3, 3, 2, 2, 2), 37),
    "100 classes, 5 clusters of 8 to 15": ((15, 15, 12, 10, 8), 40),
    "60 classes, all in 3 clusters": ((20, 20, 20), 0),
    "200 classes, 40 clusters of 2 or 5": ((5,) * 30 + (2,) * 10, 30),
}


def planted(shape: str, per_class: int, seed: int, others: bool = False) -> tuple[Answers, list[Cluster]]:
    """Probabilities of `per_class` pictures a class, and the clusters: logits of mates come close to that of the right class, more so
    for some pairs than for others, and all classes get a little, more of it on hard pictures. others: on other pictures."""
    sizes, alone = SHAPES[shape]
    rng = generator(seed, shape)
    k = sum(sizes) + alone
    ends = np.cumsum(sizes)
    members = np.split(rng.permutation(k), ends)[: len(sizes)]
    like = np.zeros((k, k))
    for one in members:
        drawn = np.triu(rng.beta(2, 1, size=(len(one), len(one))), 1)
        like[np.ix_(one, one)] = drawn + drawn.T
    rng = generator(seed, shape, str(per_class), str(others))
    labels = np.repeat(np.arange(k), per_class)
    hard = 0.3 * rng.gamma(1, 1, size=(len(labels), 1))
    behind = np.where(like[labels] > 0, 4.5 - 3.5 * like[labels], 6.0 - hard) + rng.normal(0, 1.6, (len(labels), k))
    behind[np.arange(len(labels)), labels] = 0.0
    probs = np.exp(-behind - (-behind).max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    return Answers.whole(probs, labels), [tuple(sorted(one.tolist())) for one in members]


def planted_sparse(n: int, k: int, seed: int, top: int = 20, mates: int = 8) -> tuple[Answers, list[Cluster]]:
    """The `top` most probable classes of n pictures: clusters of 3 to 21 classes, three in ten classes in none."""
    rng = generator(seed, "sparse", str(n), str(k))
    order, at, groups = rng.permutation(k), 0, []
    while at < int(0.7 * k):
        size = int(rng.integers(3, 22))
        groups.append(order[at : at + size])
        at += size
    cluster, place = np.full(k, -1), np.zeros(k, np.int64)
    table = np.zeros((len(groups), 21), np.int64)
    for number, one in enumerate(groups):
        cluster[one], place[one] = number, np.arange(len(one))
        table[number, : len(one)] = one
    sizes = np.array([*(len(one) for one in groups), 1])
    labels = rng.integers(k, size=n)
    of = cluster[labels]
    size = sizes[of]
    first = rng.integers(1, np.maximum(size, 2))
    columns = rng.integers(k, size=(n, top), dtype=np.int32)
    columns[:, 0] = labels
    weights = rng.gamma(0.6, 1, size=(n, top)).astype(np.float32)
    weights[:, mates + 1 :] *= 0.15
    for number in range(mates):
        step = (first + number - 1) % np.maximum(size - 1, 1) + 1
        mate = table[of, (place[labels] + step) % size]
        there = (of >= 0) & (number < size - 1)
        columns[there, number + 1] = mate[there]
        weights[~there, number + 1] *= 0.15
    weights[:, 0] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    wrong = rng.beta(1.2, 2.5, size=n).astype(np.float32)
    weights *= wrong[:, None]
    weights[:, 0] = 1 - wrong
    return Answers(weights, labels, k, columns), [tuple(sorted(one.tolist())) for one in groups]
