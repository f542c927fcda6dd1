"""What a model said of pictures that it has not learned from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.learn.clusters.links import Columns, Ints, Links, Reals, counted


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
        """(N,) the most probable class of each picture; -1 where none is listed."""
        if self.classes is None:
            return np.asarray(self.probs.argmax(axis=1), np.int64)
        column = np.where(self.classes >= 0, self.probs, np.float32(-1)).argmax(axis=1)
        return np.asarray(self.classes[np.arange(len(self)), column], np.int64)


def mistakes(answers: Answers) -> Links:
    """How many labeled pictures of one class have the other as their most probable class, both ways."""
    named = answers.best()
    known = (answers.labels >= 0) & (named >= 0)
    return counted(answers.labels[known], named[known], answers.n_classes)
