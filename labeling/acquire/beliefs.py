"""What is believed of each picture's class: its label, a model, and the answers so far, as one distribution.

    P(class, difficulty)  ~  model and label (class)  *  P(difficulty)  *  product over answers  P(answer | class, difficulty)

Columnar, for millions of pictures: a few candidate classes each, and one number for all others. What an answer is worth is `worth`'s.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.labeling.acquire import worth

Reals = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

# How hard pictures are: chance that one answer is right, and how many are so. In CIFAR-10N an eighth of the pictures are hard, and of those
# people get a half wrong; that is kept, and easy ones are taken to be easier than there, where pictures are tiny.
RIGHT = np.array([0.94, 0.5])
DIFFICULTY = np.array([0.88, 0.12])
SMOOTH = 0.02  # part of the model's mass that is spread over all classes: it never rules one out
KNOWN_SHARE, KNOWN_COUNT = 0.1, 20.0  # wrong labels as they were assumed, and how many labels this counts for
SETTLED = 1e-6
ROUNDING = 1e-5  # of float32: a gain below it is none
AT_ONCE = 50_000  # pictures whose P(class, difficulty) is held at once


class Beliefs(NamedTuple):
    """classes: (N, J), -1 where a picture has fewer; probs: (N, J) and rest: (N,) sum to 1; held: (N,) the label, -1 for none."""

    classes: npt.NDArray[np.int32]
    probs: npt.NDArray[np.float32]
    rest: npt.NDArray[np.float32]
    held: npt.NDArray[np.int32]

    def of(self, rows: npt.NDArray[np.int64]) -> "Beliefs":
        """Those of some pictures."""
        return Beliefs(self.classes[rows], self.probs[rows], self.rest[rows], self.held[rows])

    def prob(self, wanted: npt.NDArray[np.int32]) -> Reals:
        """(N,) probability of one class each; that of a class without a column is 0, as is that of -1."""
        here = (self.classes == wanted[:, None]) & (wanted >= 0)[:, None]
        return np.asarray(np.where(here, self.probs, 0.0).sum(axis=1), np.float64)


def chances(p_error: npt.ArrayLike) -> Reals:
    """Chances (N,) that labels are wrong from `p_error` (N,), which is a score with 0.5 as a tie; nan stays nan.

    The score takes wrong and right labels for equally frequent. How frequent they are is found by expectation
    maximization over the scores, without truth (Saerens, Latinne and Decaestecker 2002). On our model's scores of CIFAR-10N
    it finds 7.4, 17.7 and 42.9 % where 9.0, 17.2 and 40.2 % are wrong, and the Brier score falls to a half.
    """
    score = np.asarray(p_error, np.float64)
    known = score[~np.isnan(score)].clip(1e-6, 1 - 1e-6)
    odds, share = known / (1 - known), KNOWN_SHARE
    for _ in range(200):
        prior = share / (1 - share)
        found = (np.sum(odds * prior / (1 + odds * prior)) + KNOWN_COUNT * KNOWN_SHARE) / (len(known) + KNOWN_COUNT)
        moved, share = abs(found - share), found
        if moved < SETTLED:
            break
    clipped = score.clip(1e-6, 1 - 1e-6)
    weighed = clipped / (1 - clipped) * share / (1 - share)
    return np.asarray(weighed / (1 + weighed), np.float64)


def believe(
    classes: npt.NDArray[np.int32],
    probs: npt.NDArray[np.float32],
    held: npt.NDArray[np.int32],
    wrong: npt.NDArray[np.floating],
    k: int,
) -> Beliefs:
    """Beliefs before any answer, of N pictures and K classes.

    classes, probs: (N, J) the model's most probable, -1 for none; a row of -1 where it has not looked. held: (N,) the given label, -1 for none.
    wrong: (N,) chance that it is wrong; nan where nothing is known, and then the label is believed.
    """
    j = classes.shape[1]
    there = classes >= 0
    seen = np.asarray(there.any(axis=1))
    p = np.where(there, probs.astype(np.float64) * (1 - SMOOTH) + SMOOTH / k, 0.0)
    p = np.where(seen[:, None], p, 0.0)
    rest = np.clip(1.0 - p.sum(axis=1), 0.0, None)
    p, rest = _normal(p, rest)
    missing = (held >= 0) & ~((classes == held[:, None]).any(axis=1))
    names = np.concatenate([classes, np.where(missing, held, -1).astype(np.int32)[:, None]], axis=1)
    left = np.maximum(k - there.sum(axis=1), 1)
    p = np.concatenate([p, np.where(missing, rest / left, 0.0)[:, None]], axis=1)
    rest = rest - p[:, j]
    is_held = (names == held[:, None]) & (held >= 0)[:, None]
    p_held = np.where(is_held, p, 0.0).sum(axis=1)
    doubt = np.where(held >= 0, np.nan_to_num(wrong, nan=0.0), np.nan)
    others = np.maximum(1.0 - p_held, 1e-12)
    scale = np.where(held >= 0, doubt / others, 1.0)
    p = np.where(is_held, (1.0 - doubt)[:, None], p * scale[:, None])
    rest = rest * scale
    p, rest = _normal(p, rest)
    return Beliefs(names, p.astype(np.float32), rest.astype(np.float32), held.astype(np.int32))


def _normal(p: Reals, rest: Reals) -> tuple[Reals, Reals]:
    total = p.sum(axis=1) + rest
    return p / total[:, None], rest / total


def heard(beliefs: Beliefs, rows: Codes, named: Codes, k: int) -> Beliefs:
    """Beliefs with answers: answer v says that picture `rows[v]` is of class `named[v]`, of K.

    A class that somebody named and that had no column gets one of its share of the rest.
    """
    if not len(rows):
        return beliefs
    beliefs = with_columns(beliefs, rows, named, k)
    touched, at = np.unique(rows, return_inverse=True)
    joint = _joint(beliefs.of(touched), at.reshape(-1), named, k)
    sums = joint.sum(axis=2) / joint.sum(axis=(1, 2))[:, None]
    probs, rest = beliefs.probs.copy(), beliefs.rest.copy()
    probs[touched], rest[touched] = sums[:, :-1], sums[:, -1]
    return beliefs._replace(probs=probs, rest=rest)


def _joint(beliefs: Beliefs, rows: Codes, named: Codes, k: int) -> Reals:
    """P(class, difficulty) up to a factor, (N, J + 1, D), the rest last: a picture that splits people is probably a hard one."""
    both = np.concatenate([beliefs.probs, beliefs.rest[:, None]], axis=1).astype(np.float64)
    logs = np.zeros((*both.shape, len(RIGHT)))
    miss = (1 - RIGHT) / max(k - 1, 1)
    told = np.where((beliefs.classes[rows] == named[:, None])[:, :, None], np.log(RIGHT), np.log(miss))
    np.add.at(logs[:, :-1], rows, told)
    np.add.at(logs[:, -1], rows, np.log(miss))
    return np.asarray(both[:, :, None] * DIFFICULTY * np.exp(logs - logs.max(axis=(1, 2), keepdims=True)), np.float64)


def with_columns(beliefs: Beliefs, rows: Codes, named: Codes, k: int) -> Beliefs:
    """Columns for classes that answers name and that have none yet."""
    pairs = np.unique(np.stack([rows, named], axis=1), axis=0)
    new = pairs[~(beliefs.classes[pairs[:, 0]] == pairs[:, 1][:, None]).any(axis=1)]
    if not len(new):
        return beliefs
    nth = np.arange(len(new)) - np.searchsorted(new[:, 0], new[:, 0])
    width = int(nth.max()) + 1
    names = np.full((len(beliefs.classes), width), -1, np.int32)
    names[new[:, 0], nth] = new[:, 1]
    left = np.maximum(k - (beliefs.classes >= 0).sum(axis=1), 1)
    share = np.where(names >= 0, (beliefs.rest / left)[:, None], 0.0).astype(np.float32)
    return Beliefs(
        np.concatenate([beliefs.classes, names], axis=1),
        np.concatenate([beliefs.probs, share], axis=1),
        np.clip(beliefs.rest - share.sum(axis=1), 0.0, None).astype(np.float32),
        beliefs.held,
    )


def one_more_answer(beliefs: Beliefs, rows: Codes, named: Codes, k: int) -> Reals:
    """Wrong labels fewer, expected, by one more answer for each of N pictures, (N,); `rows` and `named` as in `heard`.

    See `worth`, whose P(class, difficulty) this feeds with the few classes of each picture, and all others as one more. What
    holds without an answer is the label, and where there is none the best guess.
    """
    beliefs = with_columns(beliefs, rows, named, k) if len(rows) else beliefs
    width = min(beliefs.classes.shape[1], k)
    said = _said(width, k)
    after = heard(beliefs, rows, named, k)
    left = np.maximum(k - (beliefs.classes >= 0).sum(axis=1), 1)
    best = np.maximum(np.where(after.classes >= 0, after.probs, 0.0).max(axis=1, initial=0.0), after.rest / left)
    now = np.where(after.held >= 0, after.prob(after.held), best)
    found = np.zeros(len(now))
    doubted = np.flatnonzero(now < 1 - ROUNDING)
    place = np.full(len(now), -1, np.int64)
    for start in range(0, len(doubted), AT_ONCE):
        some = doubted[start : start + AT_ONCE]
        place[some] = np.arange(len(some))
        mine = np.flatnonzero(place[rows] >= 0)
        joint = _filled(_joint(beliefs.of(some), place[rows[mine]], named[mine], k), beliefs.classes[some] < 0, k)
        joint = _narrow(joint / joint.sum(axis=(1, 2), keepdims=True), width)[:, : said.shape[1]]
        found[some] = worth.per_second(joint, said, now=now[some])
        place[some] = -1
    return np.where(found > ROUNDING, found, 0.0)


def _filled(joint: Reals, empty: npt.NDArray[np.bool_], k: int) -> Reals:
    """Columns without a class stand for one of the rest each: so many classes are no single one."""
    n_empty = empty.sum(axis=1)
    left = np.maximum(k - (empty.shape[1] - n_empty), 1)
    each = joint[:, -1] / left[:, None]
    filled = np.where(empty[:, :, None], each[:, None, :], joint[:, :-1])
    rest = each * np.maximum(left - n_empty, 0)[:, None]
    return np.concatenate([filled, rest[:, None, :]], axis=1)


def _narrow(joint: Reals, width: int) -> Reals:
    """The `width` most probable classes of each picture, and the rest."""
    order = np.argsort(-joint[:, :-1].sum(axis=2), axis=1, kind="stable")[:, :width]
    return np.concatenate([np.take_along_axis(joint[:, :-1], order[:, :, None], axis=1), joint[:, -1:]], axis=1)


def _said(width: int, k: int) -> Reals:
    """P(answer | class, difficulty) among `width` classes and (where there are more) all others as one, (D, width + 1, width + 1)."""
    alike = worth.channel(RIGHT, classes=k)
    if width == k:
        return alike
    few = np.empty((len(RIGHT), width + 1, width + 1))
    few[:, :width, :width] = alike[:, :width, :width]
    few[:, width, :width] = alike[:, width, :width]
    few[:, :, width] = 1.0 - few[:, :, :width].sum(axis=2)
    return few
