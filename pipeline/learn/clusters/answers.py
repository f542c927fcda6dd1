"""What a model said of pictures, and what of that speaks for two classes being confused."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.learn.clusters.links import Links, Reals, linked, summed

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """Out-of-sample probabilities of N pictures.

    `probs` (N, k); `classes` (N, k): which classes they are of, -1 where a picture has fewer than k; None where column j is
    of class j. `labels` (N,): class numbers, -1 without a label.
    """

    probs: Reals
    labels: Ints
    n_classes: int
    classes: npt.NDArray[np.int32] | None = None

    @classmethod
    def whole(cls, probs: npt.NDArray[np.floating], labels: Ints) -> "Answers":
        """Of all probabilities (N, K) and labels (N,)."""
        return cls(np.asarray(probs, np.float32), np.asarray(labels, np.int64), probs.shape[1])

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, rows: npt.NDArray[np.integer]) -> "Answers":
        """The answers on some pictures, in that order; a picture may come more than once."""
        classes = None if self.classes is None else self.classes[rows]
        return Answers(self.probs[rows], self.labels[rows], self.n_classes, classes)

    def best(self) -> Ints:
        """(N,) the most probable class of each picture."""
        column = self.probs.argmax(axis=1)
        if self.classes is None:
            return column
        return self.classes[np.arange(len(self)), column].astype(np.int64)


def covariance(answers: Answers) -> Links:
    """How far the probabilities of two classes rise and fall together over pictures: their covariance where it is above zero.

    It asks no label. Of calibrated probabilities, the sum of p_i · p_j is what labels of class i put on class j, so that the
    covariance is the confusion beyond that of classes that have nothing to do with each other. Hinton et al. 2015 cluster it.
    """
    sums = np.zeros(answers.n_classes)
    if answers.classes is None:
        sums = answers.probs.sum(axis=0, dtype=np.float64)
    else:
        there = answers.classes >= 0
        sums = np.bincount(answers.classes[there], answers.probs[there], answers.n_classes)
    n = max(1, len(answers))
    return summed(answers.probs, answers.classes, answers.n_classes).scaled(1 / n).beyond(sums / n)


def confusion(answers: Answers) -> Links:
    """What labeled pictures of one class put on another, both ways: the sum over pictures of class i of the probability of j."""
    n, k = answers.n_classes, answers.probs.shape[1]
    known = answers.labels >= 0
    labels = np.repeat(answers.labels[known], k)
    columns = (
        np.tile(np.arange(n), int(known.sum())) if answers.classes is None else answers.classes[known].ravel()
    ).astype(np.int64)
    return linked(labels, columns, answers.probs[known].ravel(), n)


def mistakes(answers: Answers) -> Links:
    """How many labeled pictures of one class have another as their most probable class, both ways."""
    known = answers.labels >= 0
    return linked(
        answers.labels[known], answers.best()[known], np.ones(int(known.sum()), np.float32), answers.n_classes
    )
