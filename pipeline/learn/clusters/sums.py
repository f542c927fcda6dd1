"""Sums over pictures of what speaks for two classes being confused."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from secondlook.pipeline.learn.clusters.answers import Answers
from secondlook.pipeline.learn.clusters.links import DENSE, Doubles, Ints, Links, Reals, of_entries, of_matrix

CHUNK = 20_000  # pictures that are spread out over all classes at once
BLOCK = 500  # classes whose sums with all others are held at once
STRONGEST = 64  # links that are kept of a class where there are many classes


@dataclass(frozen=True)
class Sums:
    """`links`: what each picture adds to a pair of classes, summed; where there are many classes, the strongest ones of each.

    `degrees` (K,): a class's sum with all others, also those that are not kept. `grain`: how much a picture adds where it adds
    anything; a sum of probabilities of 12 with a grain of 0.2 is as sure as a count of 60.
    """

    links: Links
    degrees: Doubles
    grain: float


def together(answers: Answers) -> Sums:
    """The sum over pictures of p_i · p_j: how often two classes are thought probable of one picture. It asks no label.

    Of this, what two classes have that have nothing to do with one another is taken away later (background.py); taking away
    the product of their means instead leaves the covariance of predictions, which Hinton et al. 2015 cluster.
    """
    probs = _listed(answers)
    sum_1, sum_2, sum_4 = (np.power(probs, n, dtype=np.float64).sum(axis=1) for n in (1, 2, 4))
    grain = _ratio(float((sum_2**2 - sum_4).sum()), float((sum_1**2 - sum_2).sum()))
    if answers.n_classes <= DENSE:
        matrix = np.zeros((answers.n_classes,) * 2)
        for first in range(0, len(answers), CHUNK):
            part = _spread(answers, first)
            matrix += part.T @ part
        return _whole(matrix, grain)
    said = _sparse(answers)
    return _strongest(said, said, grain)


def confusion(answers: Answers) -> Sums:
    """The probability that pictures labeled i put on j and those labeled j on i: the confusion matrix, but without throwing
    away how sure the model was."""
    known = answers.at(np.flatnonzero(answers.labels >= 0))
    n, probs = known.n_classes, _listed(known)
    columns = np.broadcast_to(np.arange(n), probs.shape) if known.classes is None else known.classes
    wrong = np.where(columns == known.labels[:, None], np.float32(0), probs)
    grain = _ratio(float(np.square(wrong, dtype=np.float64).sum()), float(wrong.sum(dtype=np.float64)))
    if n <= DENSE:
        matrix = np.zeros((n, n))
        for first in range(0, len(known), CHUNK):
            np.add.at(matrix, known.labels[first : first + CHUNK], _spread(known, first))
        return _whole(matrix + matrix.T, grain)
    borne = Answers(np.ones((len(known), 1), np.float32), known.labels, n, known.labels[:, None].astype(np.int32))
    return _strongest(_sparse(borne), _sparse(known), grain)


def _ratio(squares: float, added: float) -> float:
    return squares / added if added > 0 else 1.0


def _listed(answers: Answers) -> Reals:
    """Probabilities (N, k), zero where a picture has fewer."""
    return answers.probs if answers.classes is None else np.where(answers.classes >= 0, answers.probs, np.float32(0))


def _spread(answers: Answers, first: int) -> Reals:
    """(CHUNK, K) probabilities of the pictures from `first` on, zero for what is not listed."""
    part = answers.probs[first : first + CHUNK]
    if answers.classes is None:
        return part
    classes = answers.classes[first : first + CHUNK]
    spread = np.zeros((len(part), answers.n_classes), np.float32)
    there = classes >= 0
    spread[np.nonzero(there)[0], classes[there]] = part[there]
    return spread


def _whole(matrix: Doubles, grain: float) -> Sums:
    links = of_matrix(matrix)
    return Sums(links, links.degrees(), grain)


def _sparse(answers: Answers) -> Any:
    """(N, K) probabilities, sparse."""
    from scipy import sparse  # noqa: PLC0415 — only many classes need it

    listed = answers.classes
    if listed is None:
        return sparse.csr_array(answers.probs)
    there = listed >= 0
    starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return sparse.csr_array((answers.probs[there], listed[there], starts), shape=(len(answers), answers.n_classes))


def _strongest(left: Any, right: Any, grain: float) -> Sums:
    """The sum over pictures of left_i · right_j, and of left_j · right_i where these are not the same, both (N, K).

    A million pictures fill most of a matrix of 15,000 classes, mostly with next to nothing: so it is made a block of rows at
    a time, of which only what exceeds most what is expected by the sums of rows stays.
    """
    n, columns = right.shape[1], (left.tocsc(), right.tocsc())
    degrees = _degrees(left, right)
    rows, others, weights = [], [], []
    for first in range(0, n, BLOCK):
        last = min(first + BLOCK, n)
        block = (columns[0][:, first:last].T @ right).toarray()
        if left is not right:
            block += (columns[1][:, first:last].T @ left).toarray()
        block[np.arange(last - first), np.arange(first, last)] = 0.0
        expected = np.outer(degrees[first:last], degrees / max(degrees.sum(), 1e-300)).astype(np.float32)
        best = np.argpartition(block - expected, -min(STRONGEST, n), axis=1)[:, -STRONGEST:]
        rows.append(np.repeat(np.arange(first, last), best.shape[1]))
        others.append(best.ravel())
        weights.append(np.take_along_axis(block, best, axis=1).ravel())
    links = _both_ways(np.concatenate(rows), np.concatenate(others), np.concatenate(weights), n)
    return Sums(links, degrees, grain)


def _degrees(left: Any, right: Any) -> Doubles:
    """(K,) of each class the sum with all others."""
    sums = [np.asarray(one.sum(axis=1)).ravel() for one in (left, right)]
    out = left.T @ sums[1] - left.multiply(right).sum(axis=0)
    return np.asarray(out if left is right else out + right.T @ sums[0] - left.multiply(right).sum(axis=0)).ravel()


def _both_ways(rows: Ints, others: Ints, weights: Reals, n: int) -> Links:
    """Links that were kept for at least one of their classes."""
    cells, at = np.unique(np.concatenate([rows * n + others, others * n + rows]), return_index=True)
    return of_entries(cells // n, cells % n, np.concatenate([weights, weights])[at].astype(np.float64), n)
