"""What a model said of pictures, and what of it speaks for two classes being confused."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.learn.clusters.links import Columns, Ints, Links, Reals, counted, products


@dataclass(frozen=True)
class Answers:
    """Out-of-sample probabilities of N pictures.

    `probs` (N, k); `classes` (N, k): which classes they are of, -1 where a picture has fewer than k; None where column j is
    of class j. `labels` (N,): class numbers, -1 without a label.
    """

    probs: Reals
    labels: Ints
    n_classes: int
    classes: Columns | None = None

    @classmethod
    def whole(cls, probs: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> "Answers":
        """Of all probabilities (N, K) and labels (N,)."""
        return cls(np.asarray(probs, np.float32), np.asarray(labels, np.int64), probs.shape[1])

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, rows: npt.NDArray[np.integer]) -> "Answers":
        """The answers on some pictures; a picture may come more than once."""
        classes = None if self.classes is None else self.classes[rows]
        return Answers(self.probs[rows], self.labels[rows], self.n_classes, classes)

    def best(self) -> Ints:
        """(N,) the most probable class of each picture."""
        column = self.probs.argmax(axis=1)
        return column if self.classes is None else self.classes[np.arange(len(self)), column].astype(np.int64)


@dataclass(frozen=True)
class Sums:
    """Links that are sums over pictures, and their `grain`: how much one picture adds, where it adds anything.

    A sum of probabilities of 12 with a grain of 0.2 is as sure as a count of 60.
    """

    links: Links
    grain: float


def together(answers: Answers) -> Sums:
    """The sum over pictures of p_i · p_j: how often two classes are thought probable of one picture. It asks no label.

    Of this, what two classes have that have nothing to do with one another is taken away later (background.py); taking away
    the product of their means instead leaves the covariance of predictions, which Hinton et al. 2015 cluster.
    """
    probs = answers.probs if answers.classes is None else np.where(answers.classes >= 0, answers.probs, np.float32(0))
    sum_1, sum_2, sum_4 = (np.power(probs, n, dtype=np.float64).sum(axis=1) for n in (1, 2, 4))
    added, squared = float((sum_1**2 - sum_2).sum()), float((sum_2**2 - sum_4).sum())
    return Sums(products(probs, answers.classes, answers.n_classes), squared / added if added > 0 else 1.0)


def confusion(answers: Answers) -> Sums:
    """The probability that pictures labeled i put on j and those labeled j on i: the confusion matrix, but without throwing
    away how sure the model was."""
    n, k = answers.n_classes, answers.probs.shape[1]
    known = answers.labels >= 0
    rows = np.repeat(answers.labels[known], k)
    columns = np.tile(np.arange(n), int(known.sum())) if answers.classes is None else answers.classes[known].ravel()
    weights = answers.probs[known].ravel().astype(np.float64)
    wrong = weights[(columns >= 0) & (columns != rows)]
    added = float(wrong.sum())
    grain = float((wrong**2).sum()) / added if added > 0 else 1.0
    return Sums(counted(rows, columns.astype(np.int64), weights, n), grain)


def mistakes(answers: Answers) -> Links:
    """How many labeled pictures of one class have the other as their most probable class, both ways."""
    known = answers.labels >= 0
    return counted(answers.labels[known], answers.best()[known], np.ones(int(known.sum())), answers.n_classes)
