"""What a cluster holds, told of the model's mistakes: what a specialist that made none inside of it could win."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from secondlook.pipeline.learn.clusters.answers import Answers, mistakes
from secondlook.pipeline.learn.clusters.links import Ints, Links
from secondlook.pipeline.learn.clusters.pairs import Cluster

PAIRS = 3  # pairs of classes that are named


@dataclass(frozen=True)
class Described:
    """`classes`: in the order in which they are confused with the others, most first. `pictures`: labeled ones of its classes;
    `mistakes`: those of them for which the model names another of its classes. `pairs`: (class, class, mistakes), most first."""

    classes: tuple[int, ...]
    pictures: int
    mistakes: int
    pairs: tuple[tuple[int, int, int], ...]


def described(answers: Answers, bonds: Links, clusters: Sequence[Cluster]) -> list[Described]:
    """What each cluster holds, in their order."""
    made = mistakes(answers)
    of_class = np.bincount(answers.labels[answers.labels >= 0], minlength=answers.n_classes)
    return [_described(np.array(one), made, bonds, of_class) for one in clusters]


def _described(members: Ints, made: Links, bonds: Links, of_class: Ints) -> Described:
    inside = made.among(members)
    order = np.lexsort((-bonds.among(members).degrees(), -inside.degrees()))
    rows = inside.rows()
    upper = np.flatnonzero(rows < inside.others)
    most = upper[np.argsort(-inside.weights[upper], kind="stable")[:PAIRS]]
    return Described(
        tuple(members[order].tolist()),
        int(of_class[members].sum()),
        round(inside.total / 2),
        tuple(
            (int(members[rows[at]]), int(members[inside.others[at]]), round(float(inside.weights[at]))) for at in most
        ),
    )
