"""What one more answer is worth: labels put right, expected, for a second of a person's time.

One currency for a doubted label, a picture without a label, and another answer where there are some. All three are a belief about the picture's
class, and an answer can do one thing for each: change the label that would be decided. By how much it is expected to lower the chance
that the decided label is wrong is the value of information (Howard 1966) of one step:

    gain = sum over answers a of max over classes k of P(k) P(a | k)   -   max over classes k of P(k)

A picture may be easy or hard, and a hard one stays hard whoever looks at it. A belief is therefore one about class *and* difficulty,
P(k, d), with P(a | k, d). That makes a third answer for a picture that split two people worth less than the first for a picture that nobody
saw, even if both are equally uncertain; answers that are independent given the class alone would make them equal.

Where one answer can't change the label but two can, one step sees no worth in the first. So several steps are looked ahead, and an answer's
worth is the most that any number of them is worth each.
"""

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]

ROUNDING = 1e-12  # of sums of products: a gain below it is none
CELLS = 4_000_000  # products held at once
MOST = 10  # classes of a picture that are weighed: two answers of K classes cost K to the third power


def channel(right: npt.ArrayLike, mistakes: npt.ArrayLike | None = None, *, classes: int = 0) -> Reals:
    """P(answer | class, difficulty), (D, K, K), from how often people are right and where their mistakes go.

    right: (D,) or (D, K), chance of a right answer by difficulty and class. mistakes: (K, K), how often class k is taken for a, in any unit;
    the diagonal does not count, a class without mistakes makes them alike, and so does no `mistakes` with the number of `classes`.

    >>> channel([0.9], classes=3).round(2).tolist()
    [[[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]]]
    """
    wrong = np.ones((classes, classes)) if mistakes is None else np.array(mistakes, np.float64)
    k = len(wrong)
    np.fill_diagonal(wrong, 0.0)
    alike = np.ones((k, k)) - np.eye(k)
    total = wrong.sum(axis=1, keepdims=True)
    wrong = np.where(total > 0, wrong / np.where(total > 0, total, 1.0), alike / max(k - 1, 1))
    chance = np.asarray(right, np.float64)
    chance = np.broadcast_to(chance[:, None] if chance.ndim == 1 else chance, (len(chance), k))
    return np.asarray(chance[:, :, None] * np.eye(k) + (1.0 - chance)[:, :, None] * wrong, np.float64)


def gain(beliefs: npt.ArrayLike, answers: npt.ArrayLike, *, ahead: int = 1, now: npt.ArrayLike | None = None) -> Reals:
    """(N,) by how much 1 or 2 (`ahead`) more answers lower the chance that the decided label is wrong.

    beliefs: (N, K) or (N, K, D), P(class, difficulty), sums of 1. answers: (K, K) or (D, K, K), P(answer | class, difficulty), see `channel`.
    now: (N,) the chance that the label is right which holds without an answer; by default that of the best class. 0 where no answer would
    change the label; never negative.

    Of more than MOST classes the most probable of each picture are weighed and all answers besides count as one: too little is found then,
    never too much.
    """
    joint, said = _shapes(beliefs, answers)
    chance = joint.sum(axis=2)
    n, k, d = joint.shape
    kept = min(k, MOST)
    order = np.argsort(-chance, axis=1, kind="stable")[:, :kept]
    right = np.empty(n)
    step = max(1, CELLS // (d * kept * (kept + 1) ** ahead))
    for start in range(0, n, step):
        top = order[start : start + step]
        some = np.take_along_axis(joint[start : start + step], top[:, :, None], axis=1)
        told = said[:, top[:, :, None], top[:, None, :]]  # (D, n, classes, answers)
        if kept < k:
            told = np.concatenate([told, np.clip(1.0 - told.sum(axis=3, keepdims=True), 0.0, None)], axis=3)
        heard = np.einsum("nkd,dnka->nkad", some, told)
        if ahead == 2:
            heard = np.einsum("nkad,dnkb->nkabd", heard, told)
        both = heard.sum(axis=-1)
        right[start : start + step] = both.max(axis=1).reshape(len(both), -1).sum(axis=1)
    found = right - (chance.max(axis=1) if now is None else np.asarray(now, np.float64))
    return np.where(found > ROUNDING, found, 0.0)


def per_second(
    beliefs: npt.ArrayLike, answers: npt.ArrayLike, seconds: npt.ArrayLike = 1.0, *, now: npt.ArrayLike | None = None
) -> Reals:
    """(N,) labels put right for each second of people: what to ask for next is what has most of it.

    Arguments as in `gain`; seconds: (N,) or one number, what an answer takes. The first of two answers is worth half of what both bring,
    where that is more than what it brings alone.
    """
    one, two = (gain(beliefs, answers, ahead=ahead, now=now) for ahead in (1, 2))
    return np.asarray(np.maximum(one, two / 2.0) / np.asarray(seconds, np.float64), np.float64)


def _shapes(beliefs: npt.ArrayLike, answers: npt.ArrayLike) -> tuple[Reals, Reals]:
    joint, said = np.asarray(beliefs, np.float64), np.asarray(answers, np.float64)
    joint = joint[:, :, None] if joint.ndim == 2 else joint
    said = said[None] if said.ndim == 2 else said
    if said.shape != (joint.shape[2], joint.shape[1], joint.shape[1]):
        raise ValueError(f"beliefs {joint.shape} (N, K, D) ask for answers of (D, K, K), got {said.shape}")
    return joint, said
