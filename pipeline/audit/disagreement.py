"""SL104: pictures that people answer differently."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.rules import Finding

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

UNSURE = -1  # the code of an answer that agrees with nobody's, not even with another one like it
# The dataset's own disagreement counts as much as four further answers: of 0 to 8, what foretold best how the rest of
# CIFAR-10H's 51 people answer, from 2, 3 or 5 of them (odd rows; the same on the even ones).
PRIOR_ANSWERS = 4.0
NAMED = 8  # answers that a message counts


@dataclass(frozen=True)
class Disagreement:
    """For N items: `answers` (N,) how many people, `raw` (N,) 1 - P(two of them agree), `score` (N,) that, shrunk.

    Both are NaN where fewer than two people answered. `usual` is the mean of `raw`: what scores are shrunk towards.
    """

    answers: Ints
    raw: Reals
    score: Reals
    usual: float


def disagreement(items: Ints, codes: Ints, n: int) -> Disagreement:
    """How much people disagree on each of n items; entry v says that somebody answered `codes[v]` for `items[v]`.

    items, codes: (V,), each person once an item. `raw` is 1 minus the share of pairs of people who gave one answer
    (an unbiased estimate of what two further people would do; Gini 1912, Simpson 1949). From two answers it is 0 or 1,
    so `score` = ((a - 1) raw + 4 usual) / (a + 3) for a answers. Answers of UNSURE agree with nothing.

    >>> found = disagreement(np.array([0, 0, 1, 1, 2, 2, 2, 3]), np.array([5, 5, 5, 6, 5, 5, 6, 5]), 4)
    >>> found.raw.round(2).tolist(), found.score.round(2).tolist()
    ([0.0, 1.0, 0.67, nan], [0.44, 0.64, 0.59, nan])
    """
    answers = np.bincount(items, minlength=n)
    named = codes != UNSURE
    pairs, counts = np.unique(np.stack([items[named], codes[named]]), axis=1, return_counts=True)
    agreeing = np.bincount(pairs[0], counts * (counts - 1), minlength=n)
    several = answers > 1
    raw = np.full(n, np.nan)
    raw[several] = 1 - agreeing[several] / (answers[several] * (answers[several] - 1))
    usual = float(raw[several].mean()) if several.any() else float("nan")
    score = ((answers - 1) * raw + PRIOR_ANSWERS * usual) / (answers - 1 + PRIOR_ANSWERS)
    return Disagreement(answers, raw, score, usual)


@dataclass(frozen=True)
class Answered:
    """V current answers, one a person and content: who asked for which sample, and what it was answered.

    `item` (V,) numbers the contents from 0 without gaps. `said` names a class, or one of unsure, none of these, bad
    picture with `is_class` False.
    """

    item: Ints
    said: Sequence[str]
    is_class: Sequence[bool]

    def codes(self) -> Ints:
        """Answers as numbers: equal ones that name something have equal numbers."""
        numbers: dict[tuple[str, bool], int] = {}
        return np.array(
            [
                UNSURE if said == "unsure" and not named else numbers.setdefault((said, named), len(numbers))
                for said, named in zip(self.said, self.is_class, strict=True)
            ],
            np.int64,
        )

    def counts(self) -> list[Counter[tuple[str, bool]]]:
        """What was said of each item, and how often."""
        found: list[Counter[tuple[str, bool]]] = [Counter() for _ in range(int(self.item.max(initial=-1)) + 1)]
        for item, said, named in zip(self.item.tolist(), self.said, self.is_class, strict=True):
            found[item][said, named] += 1
        return found


@dataclass(frozen=True)
class Shown:
    """The sample that stands for an item: the label that holds may be None."""

    sample_id: str
    key: str
    split: str
    label: str | None


def annotators_disagree(answered: Answered, shown: Mapping[int, Shown], threshold: float) -> Iterator[Finding]:
    """SL104: the items whose score is at least `threshold`, in their order."""
    counts = answered.counts()
    found = disagreement(answered.item, answered.codes(), len(counts))
    for item in np.flatnonzero(found.score >= threshold).tolist():
        one = shown[item]
        said = sorted(counts[item].items(), key=lambda pair: (-pair[1], not pair[0][1], pair[0][0]))
        classes = [(name, n) for (name, named), n in said if named]
        some = ", ".join(f"{name} {n}" for (name, _), n in said[:NAMED]) + (", …" if len(said) > NAMED else "")
        holds = f"labeled {one.label}" if one.label is not None else "not labeled"
        evidence = {
            "answers": int(found.answers[item]),
            "counts": {name: n for (name, named), n in said if named},
            "others": {name: n for (name, named), n in said if not named},
            "disagreement": round(float(found.raw[item]), 6),
            "usual": round(found.usual, 6),
            "most_named": _most(classes),
            "label": one.label,
        }
        message = f"{found.answers[item]} people answered: {some}; {holds}"
        score = round(float(found.score[item]), 6)
        yield Finding("SL104", "sample", one.sample_id, one.key, score, message, one.split, evidence)


def _most(classes: Sequence[tuple[str, int]]) -> str | None:
    """The class that most people named; None where nobody named one, or two were named equally often."""
    if not classes or (len(classes) > 1 and classes[0][1] == classes[1][1]):
        return None
    return classes[0][0]
