"""From the answers of several people to one decision with a probability, or to none with the reason.

How answers are weighed is `methods`' business; what a weighing is enough for is decided here.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from secondlook.labeling.consensus.layout import Voice
from secondlook.labeling.consensus.methods import Weighed, method

NO_MODEL: Mapping[str, float] = {}
EVEN = 1e-6  # probabilities closer than that are a tie

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
    """The class that an item has, and who said otherwise.

    `alone`: the probability by people alone, None where no model spoke. `reliability` is the mean of those who voted for it, None where the
    method has none.
    """

    label: str
    probability: float
    overruled: tuple[str, ...]
    reliability: float | None = None
    alone: float | None = None


@dataclass(frozen=True)
class Undecided:
    """No decision: `reason` is one of REASONS, `probability` that of the best class that somebody named (0 without one)."""

    reason: str
    probability: float = 0.0


@dataclass(frozen=True)
class Judgment:
    """What came of all votes. `results`: an entry an item. `weights`: an entry a vote, by how much it moved the log odds of its class; None
    where it named none, or the method has no weights. `reliability`: of each annotator. `found`: the method's parameters.
    """

    results: list[Decision | Undecided]
    weights: list[float | None]
    reliability: Mapping[str, float]
    found: Mapping[str, float]


def judge(
    votes: Sequence[Vote],
    classes: Sequence[str],
    *,
    min_probability: float,
    name: str = "weighed",
    model: Sequence[Mapping[str, float]] | None = None,
    known: Mapping[int, str] | None = None,
) -> Judgment:
    """What becomes of each item 0..N-1, in their order; an item may have no vote, and then stays open.

    `classes`: all classes that a vote may name. `model`: for each item the model's most probable classes with their out-of-sample probabilities
    (empty where it does not know the item); others have what is left. `known`: items whose class is known beyond doubt, which teach
    how people answer. Only a class that a person named is ever decided. Who says that no class fits, or that the picture is bad, is not
    outvoted by probabilities: where they are at least as many as those who name a class, there is no decision; nor where more are unsure than name one.
    """
    n = max((vote.item for vote in votes), default=-1) + 1
    n = max(n, len(model or ()), max(known or (), default=-1) + 1)
    by_item: list[list[Vote]] = [[] for _ in range(n)]
    for vote in votes:
        by_item[vote.item].append(vote)
    number = {label: place for place, label in enumerate(classes)}
    named = [place for place, vote in enumerate(votes) if vote.label is not None]
    people = sorted({votes[place].annotator for place in named})
    person = {annotator: place for place, annotator in enumerate(people)}
    items = np.array([votes[place].item for place in named], np.int64)
    voters = np.array([person[votes[place].annotator] for place in named], np.int64)
    labels = np.array([number[str(votes[place].label)] for place in named], np.int64)
    truth = np.full(n, -1)
    for item, label in (known or {}).items():
        truth[item] = number[label]
    voice = None if model is None else _voice(model, number, n)
    said = method(name)(items, voters, labels, len(classes), voice, n, truth if known else None) if named else None
    weights: list[float | None] = [None] * len(votes)
    if said is not None and said.weights is not None:
        for place, weight in zip(named, said.weights.tolist(), strict=True):
            weights[place] = weight
    reliability = (
        {}
        if said is None or said.reliability is None
        else dict(zip(people, said.reliability[: len(people)].tolist(), strict=True))
    )
    fits = {} if said is None else _fits(said, classes)
    results = [_of_item(its, fits.get(item), reliability, min_probability) for item, its in enumerate(by_item)]
    return Judgment(results, weights, reliability, {} if said is None else said.found)


@dataclass
class _Fit:
    probs: dict[str, float]
    alone: dict[str, float]
    rest: float


def _voice(model: Sequence[Mapping[str, float]], number: Mapping[str, int], n: int) -> Voice:
    width = max((len(row) for row in model), default=0)
    classes, probs = np.full((n, max(width, 1)), -1), np.zeros((n, max(width, 1)))
    for item, row in enumerate(model):
        for place, (label, prob) in enumerate(row.items()):
            classes[item, place], probs[item, place] = number[label], prob
    return Voice(classes, probs)


def _fits(said: Weighed, classes: Sequence[str]) -> dict[int, _Fit]:
    fits = {item: _Fit({}, {}, rest) for item, rest in enumerate(said.rest.tolist())}
    alone = said.probs if said.alone is None else said.alone
    for item, label, prob, own in zip(
        said.items.tolist(), said.labels.tolist(), said.probs.tolist(), alone.tolist(), strict=True
    ):
        fits[item].probs[classes[label]] = prob
        if said.alone is not None:
            fits[item].alone[classes[label]] = own
    return fits


def _of_item(
    votes: Sequence[Vote], fit: _Fit | None, reliability: Mapping[str, float], min_probability: float
) -> Decision | Undecided:
    counts = Counter(vote.answer for vote in votes)
    for answer in ("bad picture", "none of these"):
        if counts[answer] and counts[answer] >= counts["label"]:
            return Undecided(answer)
    named: dict[str, set[str]] = defaultdict(set)
    for vote in votes:
        if vote.label is not None:
            named[vote.label].add(vote.annotator)
    if fit is None or not named or counts["unsure"] > counts["label"]:
        return Undecided("unsure")
    ranked = sorted(((fit.probs.get(label, 0.0), label) for label in named), key=lambda pair: (-pair[0], pair[1]))
    probability, label = ranked[0]
    besides = max([fit.rest, *(prob for other, prob in fit.probs.items() if other not in named)])
    if besides > probability:
        return Undecided("model disagrees", probability)
    if probability < min_probability or (len(ranked) > 1 and probability - ranked[1][0] < EVEN):
        return Undecided("disagreement", probability)
    agreeing = [reliability[annotator] for annotator in named[label] if annotator in reliability]
    overruled = sorted({vote.annotator for vote in votes if vote.label not in {label, None}})
    return Decision(
        label,
        probability,
        tuple(overruled),
        float(np.mean(agreeing)) if agreeing else None,
        fit.alone.get(label),
    )
