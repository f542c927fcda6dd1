"""Predictions with planted clusters of confused classes."""

from collections.abc import Sequence

import numpy as np

from secondlook.pipeline.learn.clusters.answers import Answers

Members = list[tuple[int, ...]]


def planted(sizes: Sequence[int], alone: int, per_class: int, seed: int = 0) -> tuple[Answers, Members]:
    """A third of the pictures of a class in a cluster have half of their probability on its mates; all classes get a little."""
    rng = np.random.default_rng(seed)
    k = sum(sizes) + alone
    members = np.split(rng.permutation(k), np.cumsum(sizes))[: len(sizes)]
    labels = np.repeat(np.arange(k), per_class)
    probs = rng.gamma(0.3, 1, size=(len(labels), k))
    probs *= 0.05 / probs.sum(axis=1, keepdims=True)
    for one in members:
        rows = np.flatnonzero(np.isin(labels, one) & (rng.random(len(labels)) < 1 / 3))
        mates = rng.gamma(0.5, 1, size=(len(rows), len(one)))
        probs[np.ix_(rows, one)] += 1.2 * mates / mates.sum(axis=1, keepdims=True)
    probs[np.arange(len(labels)), labels] += 1.0
    return Answers.whole(probs / probs.sum(axis=1, keepdims=True), labels), [
        tuple(sorted(one.tolist())) for one in members
    ]


def listed(answers: Answers, top: int, n_classes: int = 0, seed: int = 0) -> Answers:
    """The `top` most probable classes of each picture, as they are stored; some pictures have one less."""
    order = np.argsort(-answers.probs, axis=1)[:, :top].astype(np.int32)
    probs = np.take_along_axis(answers.probs, order, axis=1)
    short = np.random.default_rng(seed).random(len(answers)) < 0.2
    order[short, -1] = -1
    return Answers(probs, answers.labels, n_classes or answers.n_classes, order)
