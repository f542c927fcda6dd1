"""SL104: pictures that people answer differently; and for SL307, whether they do so more often on small ones."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.rules import Finding
from secondlook.pipeline.core.statistics import Share, share

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

UNSURE = -1  # the code of an answer that agrees with nobody's, not even with another one like it
# The dataset's own disagreement counts as much as four further answers: of 0 to 8, what foretold best how the rest of
# CIFAR-10H's 51 people answer, from 2, 3 or 5 of them (odd rows; the same on the even ones).
PRIOR_ANSWERS = 4.0
NAMED = 8  # answers that a message counts
FEWEST = 30  # pictures with several answers on either side of a size: below that, nothing is said
HELPLESS = ("unsure", "bad picture")


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


@dataclass(frozen=True)
class Sides:
    """How people fared on pictures whose shorter side is below `below_px`, and on larger ones.

    `disagreed`: of pictures that several people answered for, those where not all gave one answer. `helpless`: of all
    answered pictures, those where somebody was unsure or called the picture bad. Each (small, large).
    """

    below_px: int
    disagreed: tuple[Share, Share]
    helpless: tuple[Share, Share]

    def sentence(self) -> str:
        """What it comes to, for people."""
        small, large = self.disagreed
        unsure, sure = self.helpless
        return (
            f"of pictures with a shorter side under {self.below_px} pixels people disagree on {_percent(small)}, of larger ones "
            f"on {_percent(large)}; somebody was unsure or called the picture bad on {_percent(unsure)} and {_percent(sure)}"
        )

    def evidence(self) -> dict[str, object]:
        """The same as JSON values."""
        shares = {"disagreed": self.disagreed, "helpless": self.helpless}
        return {
            f"{name}_{side}": {
                "share": round(one.value, 4),
                "n": one.n,
                "low": round(one.interval.low, 4),
                "high": round(one.interval.high, 4),
            }
            for name, pair in shares.items()
            for side, one in zip(("small", "larger"), pair, strict=True)
        }


def by_side(answered: Answered, side_px: Reals, below_px: int) -> Sides | None:
    """Disagreement by size: `side_px` (N,) is the shorter side of each item, NaN where unknown.

    None where fewer than FEWEST items with several answers lie on either side. Intervals are Wilson's, 95 %.
    """
    n = len(side_px)
    answers = np.bincount(answered.item, minlength=n)
    raw = disagreement(answered.item, answered.codes(), n).raw
    blank = np.array(
        [not named and said in HELPLESS for said, named in zip(answered.said, answered.is_class, strict=True)], np.bool_
    )
    helpless = np.bincount(answered.item[blank], minlength=n) > 0
    several, halves = answers > 1, (side_px < below_px, side_px >= below_px)
    if min(int((several & half).sum()) for half in halves) < FEWEST:
        return None
    disagreed = [share(int((raw[several & half] > 0).sum()), int((several & half).sum())) for half in halves]
    lost = [share(int(helpless[(answers > 0) & half].sum()), int(((answers > 0) & half).sum())) for half in halves]
    return Sides(below_px, (disagreed[0], disagreed[1]), (lost[0], lost[1]))


def _percent(one: Share) -> str:
    return f"{one.value:.0%} ({one.interval.low:.0%} to {one.interval.high:.0%}, n = {one.n:,})"
