"""What a person would score on this dataset: how often one answer is wrong, and how that goes with the seconds spent.

Two sources. *Gold* that somebody supplied knows the truth, so the share of wrong answers is the estimate. *Agreement* doesn't:
each answer is compared with those of the others for its picture, never with itself, and others err, too. What pairs of people
disagree on, D, follows from the error e of one answer:

    D = 2 e - (1 + s) (e^2 + r e (1 - e))

r: how much errors of two people for one picture go together (pictures differ in difficulty); s: how often two wrong answers
are the same one. Neither can be seen without the truth: a mistake that everybody makes is invisible. So e is solved for at
three places: no dependence (the lower end), what CIFAR-10N and CIFAR-10H have on average (the value), and more than either has (the upper
end). Sampling error is a bootstrap over pictures. How near that comes: docs/results/human_error.md.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from secondlook.pipeline.core.statistics import Interval, wilson

Floats = npt.NDArray[np.float64]

FIRST = 3  # answers of a picture that count: more are asked for only where these differ, which would look like discord
LEAST = 30  # pictures with two answers, or gold answers, below which nothing is said
LEAST_IN_BIN = 30
BINS = 5
DRAWS = 400
MOST = 0.6  # largest error that is solved for: beyond it, agreement says nothing


class Dependence(NamedTuple):
    """`together`: correlation of two people's errors on one picture; `alike`: part of double errors that are the same one."""

    together: float
    alike: float


# Measured against the published labels: CIFAR-10N's three answers (0.127, 0.382), CIFAR-10H's fifty (0.206, 0.624).
USUAL = Dependence(0.17, 0.50)
STRONG = Dependence(0.25, 0.70)


@dataclass(frozen=True)
class Spent:
    """The error of answers that took from `low_s` to `high_s` seconds."""

    low_s: float
    high_s: float
    value: float
    interval: Interval
    answers: int


@dataclass(frozen=True)
class HumanError:
    """How often one person's answer is wrong, 0 to 1, with a 95 % interval, from `answers` for `pictures`.

    `known_by`: "gold" or "agreement". `disagreement`: the share of pairs that differ (None by gold). `by_seconds`: from the fastest answers
    to the slowest; hard pictures take longer, so it does not say what more time would do.
    """

    value: float
    interval: Interval
    answers: int
    pictures: int
    known_by: str
    disagreement: float | None = None
    by_seconds: tuple[Spent, ...] = ()


def by_gold(
    wrong: Sequence[bool], people: Sequence[str], pictures: Sequence[str], seconds: npt.ArrayLike
) -> HumanError | None:
    """From V answers to gold pictures: wrong or not, whose, of which picture, and seconds (nan: unknown); None below LEAST.

    The interval is Wilson's with as many answers as they are worth: those of one person, or of one picture, are alike.
    """
    if len(wrong) < LEAST:
        return None
    was, took = np.array(wrong, np.float64), np.asarray(seconds, np.float64)
    effective = min(_worth(was, people), _worth(was, pictures))
    interval = wilson(was.mean() * effective, effective)
    bins = []
    for low, high, mine in _bins(took):
        n = min(int(mine.sum()), effective * mine.mean())
        bins.append(Spent(low, high, float(was[mine].mean()), wilson(was[mine].mean() * n, n), int(mine.sum())))
    return HumanError(float(was.mean()), interval, len(was), len(set(pictures)), "gold", None, tuple(bins))


def by_agreement(
    pictures: Sequence[str],
    said: Sequence[str],
    seconds: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    classes: int,
    weights: Sequence[float] = (),
) -> HumanError | None:
    """From V answers of different people, in the order in which they came; None below LEAST pictures with two of them.

    `weights` (V,): 1 / the probability with which each answer's picture was drawn; empty: all alike. Only the FIRST answers of a picture count.
    """
    took = np.asarray(seconds, np.float64)
    pairs = _pairs(pictures, said)
    if len(pairs.pictures) < LEAST:
        return None
    weight = np.array([weights[at] for at in pairs.first], np.float64) if weights else np.ones(len(pairs.pictures))
    apart = float(weight @ pairs.apart / weight.sum())
    picks = rng.multinomial(len(weight), np.full(len(weight), 1 / len(weight)), DRAWS) * weight
    draws = picks @ pairs.apart / picks.sum(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    if apart == 0:  # a bootstrap of nothing is nothing
        high = wilson(0, len(weight)).high
    none = Dependence(0.0, 1 / max(classes - 1, 1))
    value = solved(apart, USUAL)
    interval = Interval(solved(float(low), none), solved(float(high), STRONG))
    bins = [
        _spent(low_s, high_s, pairs, mine, weight, value, none) for low_s, high_s, mine in _bins(took[pairs.answers])
    ]
    return HumanError(value, interval, len(pairs.answers), len(weight), "agreement", apart, tuple(bins))


def solved(disagreement: float, dependence: Dependence) -> float:
    """The error of one answer at which pairs differ as often as they do; the largest that is meant where none is.

    >>> round(solved(0.19, Dependence(0.0, 1.0)), 3), round(solved(0.19, Dependence(0.2, 0.5)), 3)
    (0.106, 0.122)
    """

    def off(error: float) -> float:
        return _apart(error, error, dependence) - disagreement

    top = MOST
    grid = np.linspace(0, MOST, 121)
    values = np.array([off(float(e)) for e in grid])
    above = np.flatnonzero(values >= 0)
    if not len(above):
        return top
    return 0.0 if above[0] == 0 else float(brentq(off, grid[above[0] - 1], grid[above[0]]))


def _apart(one: float, other: float, dependence: Dependence) -> float:
    """How often two people differ who err so often."""
    spread = np.sqrt(max(one * (1 - one) * other * (1 - other), 0.0))
    both = min(one * other + dependence.together * spread, one, other)
    return float(one + other - (1 + dependence.alike) * both)


class _Pairs(NamedTuple):
    """Pictures with two answers or more: `apart` (P,) the share of pairs that differ, `first` an answer of each.

    `answers` (V,) those that count, `others` (V,) the share of the others for its picture that say otherwise, `place` (V,) its picture.
    """

    pictures: list[str]
    first: list[int]
    apart: Floats
    answers: npt.NDArray[np.int64]
    others: Floats
    place: npt.NDArray[np.int64]


def _pairs(pictures: Sequence[str], said: Sequence[str]) -> _Pairs:
    rows: dict[str, list[int]] = {}
    for at, picture in enumerate(pictures):
        mine = rows.setdefault(picture, [])
        if len(mine) < FIRST:
            mine.append(at)
    kept = {picture: mine for picture, mine in rows.items() if len(mine) > 1}
    answers, others, place, apart = [], [], [], []
    for n, mine in enumerate(kept.values()):
        differ = [sum(said[at] != said[it] for it in mine) / (len(mine) - 1) for at in mine]
        apart.append(sum(differ) / len(mine))
        answers += mine
        others += differ
        place += [n] * len(mine)
    return _Pairs(
        list(kept),
        [mine[0] for mine in kept.values()],
        np.array(apart, np.float64),
        np.array(answers, np.int64),
        np.array(others, np.float64),
        np.array(place, np.int64),
    )


def _spent(
    low_s: float,
    high_s: float,
    pairs: _Pairs,
    mine: npt.NDArray[np.bool_],
    weight: Floats,
    usual: float,
    none: Dependence,
) -> Spent:
    """The error of some answers, from how often all others, who err as usual, say otherwise."""
    each = weight[pairs.place[mine]]
    differ = float(each @ pairs.others[mine] / each.sum())
    effective = each.sum() ** 2 / np.square(each).sum()
    span = wilson(differ * effective, effective)

    def error(apart: float, dependence: Dependence) -> float:
        grid = np.linspace(0, 0.98, 197)
        found = np.array([_apart(float(e), usual, dependence) for e in grid])
        return float(np.interp(apart, np.maximum.accumulate(found), grid))

    ends = Interval(error(span.low, none), error(span.high, STRONG))
    return Spent(low_s, high_s, error(differ, USUAL), ends, int(mine.sum()))


def _bins(seconds: Floats) -> list[tuple[float, float, npt.NDArray[np.bool_]]]:
    """Groups of about as many answers each, by their time: from, to, which; none where few times are known."""
    known = np.isfinite(seconds)
    most = min(int(known.sum()) // LEAST_IN_BIN, BINS)
    if most < 2:
        return []
    edges = np.unique(np.quantile(seconds[known], np.linspace(0, 1, most + 1)))
    found = []
    for low, high in itertools.pairwise(edges):
        mine = known & (seconds >= low) & ((seconds < high) if high < edges[-1] else (seconds <= high))
        if mine.any():
            found.append((float(low), float(high), mine))
    return found


def _worth(wrong: Floats, groups: Sequence[str]) -> float:
    """How many answers of different groups (people, pictures) these are worth: Kish's design effect."""
    _, place = np.unique(np.array(groups, dtype=object), return_inverse=True)
    n, count = len(wrong), np.bincount(place)
    if len(count) < 2 or n == len(count):
        return float(n)
    mean = wrong.mean()
    variance = mean * (1 - mean)
    if not variance:
        return float(n)
    off = np.square(np.bincount(place, wrong - mean)).sum() / n**2
    return float(min(max(variance / max(off * len(count) / (len(count) - 1), 1e-12), 1.0), n))
