"""What is believed of each picture's class: its label, a model, and the answers so far, as one distribution.

    q(c)  ~  model and label (c)  *  product over answers  P(answer | c)

Columnar, for millions of pictures: a few candidate classes each, and one number for all others.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

HUMAN = 0.9  # chance that one answer is right, until gold or an audit says better
SMOOTH = 0.02  # part of the model's mass that is spread over all classes: it never rules one out
KNOWN_SHARE, KNOWN_COUNT = 0.1, 20.0  # wrong labels as they were assumed, and how many labels this counts for
SETTLED = 1e-6
ROUNDING = 1e-5  # of float32: a gain below it is none


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


def heard(beliefs: Beliefs, rows: Codes, named: Codes, k: int, *, human: float = HUMAN) -> Beliefs:
    """Beliefs with answers: answer v says that picture `rows[v]` is of class `named[v]`; each is right with chance `human`.

    A class that somebody named and that had no column gets one of its share of the rest.
    """
    if not len(rows):
        return beliefs
    beliefs = _with_columns(beliefs, rows, named, k)
    right, wrong = np.log(human), np.log((1 - human) / max(k - 1, 1))
    p, rest = beliefs.probs.astype(np.float64), beliefs.rest.astype(np.float64)
    touched, at = np.unique(rows, return_inverse=True)
    logs = np.log(np.maximum(p[touched], 1e-300))
    others = np.log(np.maximum(rest[touched], 1e-300))
    agree = np.where(beliefs.classes[rows] == named[:, None], right, wrong)
    np.add.at(logs, at.reshape(-1), agree)
    np.add.at(others, at.reshape(-1), wrong)
    top = np.maximum(logs.max(axis=1), others)
    p[touched], rest[touched] = _normal(
        np.where(p[touched] > 0, np.exp(logs - top[:, None]), 0.0), np.exp(others - top) * (rest[touched] > 0)
    )
    return beliefs._replace(probs=p.astype(np.float32), rest=rest.astype(np.float32))


def _with_columns(beliefs: Beliefs, rows: Codes, named: Codes, k: int) -> Beliefs:
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


def one_more_answer(beliefs: Beliefs, k: int, *, human: float = HUMAN) -> Reals:
    """Wrong labels fewer, expected, by one more answer for each picture, (N,).

    sum over answers y of max over classes c of q(c) P(y | c), the chance to be right when the best class is taken after the
    answer, less the chance that the label that holds is right (without one: the best guess). 0 where no answer would
    change the label.
    """
    names, p = beliefs.classes >= 0, beliefs.probs.astype(np.float64)
    wrong = (1 - human) / max(k - 1, 1)
    p = np.where(names, p, 0.0)
    order = np.sort(p, axis=1)
    first = order[:, -1]
    second = order[:, -2] if p.shape[1] > 1 else np.zeros(len(p))
    best_other = np.where(p == first[:, None], second[:, None], first[:, None])
    after = np.where(names, np.maximum(p * human, best_other * wrong), 0.0).sum(axis=1)
    left = np.maximum(k - names.sum(axis=1), 0)
    each = beliefs.rest / np.maximum(left, 1)
    after += left * np.maximum(each * human, first * wrong)
    now = np.where(beliefs.held >= 0, beliefs.prob(beliefs.held), np.maximum(first, each))
    gain = after - now
    return np.where(gain > ROUNDING, gain, 0.0)
