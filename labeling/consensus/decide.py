"""From the answers of several people to one decision with a probability, or to none with the reason.

A one-coin model of annotators (Dawid and Skene 1979, with one parameter for each person): annotator a names the true one
of K classes with probability r[a], and each other class equally often. r has a Beta prior, so that a person whose
answers overlap with nobody's keeps its mean. The true class is uniform before the first answer, unless a model's
probabilities are one more voice.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRIOR_RIGHT, PRIOR_WRONG = 8.0, 2.0  # as if each person had been seen right 8 times of 10
ROUNDS = 50
SETTLED = 1e-7
MODEL_TRUST = 0.9  # the model's voice is mixed with the uniform one by this, so that it never rules a class out

REASONS = {
    "unsure": "most can't tell, or nobody named a class",
    "none of these": "most say that it is none of the classes",
    "bad picture": "most say that the picture is bad",
    "disagreement": "the answers differ and none is probable enough",
    "model disagrees": "the model finds a class more probable that nobody named",
}


@dataclass(frozen=True)
class Vote:
    """One person's answer for one item: a class, or one of unsure, none of these, bad picture (`label` is None then)."""

    item: int
    annotator: str
    label: str | None
    answer: str = "label"


@dataclass(frozen=True)
class Decision:
    """The class that an item has, and who said otherwise. `reliability` is the mean of those who voted for it."""

    label: str
    probability: float
    overruled: tuple[str, ...]
    reliability: float


@dataclass(frozen=True)
class Undecided:
    """No decision: `reason` is one of REASONS, `probability` that of the best class (0 without one)."""

    reason: str
    probability: float = 0.0


@dataclass(frozen=True)
class Posterior:
    """What the votes say of each (item, class) that somebody named.

    `items`, `labels`, `probs`: (P,), one entry for each named pair, by item. `rest`: (N,), the probability of all
    classes that nobody named. `reliability`: (A,). Probabilities of an item's pairs and its rest sum to 1.
    """

    items: NDArray[np.int64]
    labels: NDArray[np.int64]
    probs: NDArray[np.float64]
    rest: NDArray[np.float64]
    reliability: NDArray[np.float64]


def posterior(
    items: NDArray[np.int64],
    annotators: NDArray[np.int64],
    labels: NDArray[np.int64],
    classes: int,
    model_probs: NDArray[np.float64] | None = None,
) -> Posterior:
    """EM over V votes; entry v says that annotator `annotators[v]` named class `labels[v]` for item `items[v]`.

    items, annotators: (V,), each numbered from 0 without gaps. `model_probs`: (V,), the model's probability of the class
    that the vote names. Memory is O(V), whatever the number of classes.
    """
    k = max(classes, 2)
    pairs, pair_of = np.unique(np.stack([items, labels], axis=1), axis=0, return_inverse=True)
    pair_of = pair_of.reshape(-1)
    n, a = int(items.max()) + 1, int(annotators.max()) + 1
    named = np.bincount(pairs[:, 0], minlength=n)
    prior = np.full(len(pairs), 1.0 / k)
    if model_probs is not None:
        prior[pair_of] = MODEL_TRUST * model_probs + (1.0 - MODEL_TRUST) / k
    rest_prior = np.clip(1.0 - np.bincount(pairs[:, 0], prior, minlength=n), 0.0, None)
    rest_prior = np.where(named >= classes, 0.0, rest_prior)
    answered = np.bincount(annotators, minlength=a)
    reliability = np.full(a, PRIOR_RIGHT / (PRIOR_RIGHT + PRIOR_WRONG))
    for _ in range(ROUNDS):
        right, wrong = np.log(reliability), np.log((1.0 - reliability) / (k - 1))
        # All answers wrong is common to an item's classes and cancels: a class gains by those who named it.
        gain = np.bincount(pair_of, (right - wrong)[annotators], minlength=len(pairs))
        best = np.zeros(n)
        np.maximum.at(best, pairs[:, 0], gain)
        weight = prior * np.exp(gain - best[pairs[:, 0]])
        rest = rest_prior * np.exp(-best)
        total = np.bincount(pairs[:, 0], weight, minlength=n) + rest
        probs, rest = weight / total[pairs[:, 0]], rest / total
        expected = np.bincount(annotators, probs[pair_of], minlength=a)
        update = (PRIOR_RIGHT + expected) / (PRIOR_RIGHT + PRIOR_WRONG + answered)
        moved = float(np.abs(update - reliability).max())
        reliability = update
        if moved < SETTLED:
            break
    return Posterior(pairs[:, 0], pairs[:, 1], probs, rest, reliability)


def decide(
    votes: Sequence[Vote],
    classes: Sequence[str],
    *,
    min_probability: float,
    model_probs: Sequence[float] | None = None,
) -> list[Decision | Undecided]:
    """A decision for each item 0..N-1, in their order; every item has at least one vote.

    `classes`: all classes that a vote may name. `model_probs`: for each vote the model's probability of the class that it
    names (any number where it names none). Who says that no class fits, or that the picture is bad, is not outvoted by
    probabilities: where they are at least as many as those who name a class, there is no decision; nor where more are unsure than name one.
    """
    n = max((vote.item for vote in votes), default=-1) + 1
    by_item: list[list[Vote]] = [[] for _ in range(n)]
    for vote in votes:
        by_item[vote.item].append(vote)
    fits = _posterior_of_votes(votes, classes, model_probs)
    return [_of_item(its, fits.get(item), min_probability) for item, its in enumerate(by_item)]


@dataclass(frozen=True)
class _Fit:
    probs: dict[str, float]
    rest: float
    reliability: dict[str, float]


def _posterior_of_votes(
    votes: Sequence[Vote], classes: Sequence[str], model_probs: Sequence[float] | None
) -> dict[int, _Fit]:
    named = [n for n, vote in enumerate(votes) if vote.label is not None]
    if not named:
        return {}
    number = {name: n for n, name in enumerate(classes)}
    item_ids, items = np.unique([votes[n].item for n in named], return_inverse=True)
    people, annotators = np.unique(np.array([votes[n].annotator for n in named], dtype=object), return_inverse=True)
    labels = np.array([number[str(votes[n].label)] for n in named], np.int64)
    voice = None if model_probs is None else np.array([model_probs[n] for n in named], np.float64)
    result = posterior(items.astype(np.int64), annotators.astype(np.int64), labels, len(classes), voice)
    reliability = dict(zip(people.tolist(), result.reliability.tolist(), strict=True))
    fits = {int(item): _Fit({}, float(rest), reliability) for item, rest in zip(item_ids, result.rest, strict=True)}
    for item, label, prob in zip(result.items, result.labels, result.probs, strict=True):
        fits[int(item_ids[item])].probs[classes[label]] = float(prob)
    return fits


def _of_item(votes: Sequence[Vote], fit: _Fit | None, min_probability: float) -> Decision | Undecided:
    counts = Counter(vote.answer for vote in votes)
    for answer in ("bad picture", "none of these"):
        if counts[answer] and counts[answer] >= counts["label"]:
            return Undecided(answer)
    if fit is None or counts["unsure"] > counts["label"]:
        return Undecided("unsure")
    label, probability = min(fit.probs.items(), key=lambda pair: (-pair[1], pair[0]))
    if probability < min_probability or list(fit.probs.values()).count(probability) > 1:
        return Undecided("model disagrees" if fit.rest > probability else "disagreement", probability)
    agreeing = [fit.reliability[vote.annotator] for vote in votes if vote.label == label]
    overruled = sorted({vote.annotator for vote in votes if vote.label not in {label, None}})
    return Decision(label, probability, tuple(overruled), float(np.mean(agreeing)))
