"""Which specialists are kept, and what they bring: figures on pictures that none of the nets has learned from.

A choice and a gain must not be of the same pictures: the best of many that help by chance alone looks like a gain. So
`chosen` is asked about one part of the held-out pictures and the figures about another.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.floating]

Together = Callable[[Sequence[int]], Ints]  # numbers of specialists → the class (n,) that all say together

FORWARD = 1 / 3  # of a step's cost: the backward pass takes about twice the forward one


@dataclass(frozen=True)
class Tried:
    """One specialist beside those kept before it: pictures that it `rights` and that it `wrongs`, and how sure it is that it
    rights more than it wrongs on others like them."""

    specialist: int
    rights: int
    wrongs: int
    sure: float
    kept: bool


def sureness(rights: int, wrongs: int) -> float:
    """Probability that more are righted than wronged, given these counts and no opinion before (a uniform prior).

    Of n = rights + wrongs pictures whose outcome changed, the share that changed for the better is above a half with the
    probability that a fair coin shows at most `rights` heads in n + 1 throws.

    >>> sureness(0, 0), sureness(2, 0)
    (0.5, 0.875)
    """
    throws = rights + wrongs + 1
    return float(sum(math.comb(throws, heads) for heads in range(rights + 1)) / 2**throws)


def chosen(labels: Ints, together: Together, n: int, confidence: float) -> list[Tried]:
    """Each of n specialists, in the order in which they were tried: those that alone help most first, each beside those
    that were kept before it, and kept where it is `confidence` sure that it helps.

    `labels` (n_pictures,): true classes of the pictures that `together` speaks of.
    """
    now = together([]) == labels
    alone = [int((together([number]) == labels).sum()) for number in range(n)]
    tried: list[Tried] = []
    kept: list[int] = []
    for number in sorted(range(n), key=lambda number: (-alone[number], number)):
        then = together([*kept, number]) == labels
        rights, wrongs = int((then & ~now).sum()), int((now & ~then).sum())
        sure = sureness(rights, wrongs)
        helps = rights > wrongs and sure >= confidence
        tried.append(Tried(number, rights, wrongs, sure, helps))
        if helps:
            kept.append(number)
            now = then
    return tried


@dataclass(frozen=True)
class Gain:
    """Accuracy before and after on the same n pictures; `relative` is after / before - 1, with an interval."""

    n: int
    before: float
    after: float
    relative: float
    low: float
    high: float


def gain(before: Flags, after: Flags, rng: np.random.Generator, *, level: float = 0.95, draws: int = 10_000) -> Gain:
    """The relative gain of right answers `after` (n,) over right answers `before` (n,), by paired bootstrap.

    A draw with replacement of pictures is a draw of how often each of four outcomes comes up, so that is what is drawn.
    """
    n = len(before)
    if not n or not before.any():
        return Gain(n, 0.0, float(after.mean()) if n else 0.0, math.nan, math.nan, math.nan)
    cells = np.array([(before & after).sum(), (before & ~after).sum(), (~before & after).sum(), 0])
    cells[3] = n - cells.sum()
    both, only_before, only_after, _ = rng.multinomial(n, cells / n, size=draws).T
    relative = (both + only_after) / np.maximum(both + only_before, 1) - 1
    low, high = np.quantile(relative, [(1 - level) / 2, (1 + level) / 2])
    first, second = float(before.mean()), float(after.mean())
    return Gain(n, first, second, second / first - 1, float(low), float(high))


def conditional(probs: Reals, labels: Ints, members: Sequence[Ints]) -> tuple[Flags, Ints]:
    """Who is right where only the cluster's classes are allowed: (right (p,), row (p,)), for the p pairs of a picture and a
    cluster that has its true class. probs (n, K), labels (n,), members: class numbers of each cluster."""
    right: list[Flags] = []
    rows: list[Ints] = []
    for classes in members:
        within = np.flatnonzero(np.isin(labels, classes))
        right.append(classes[probs[np.ix_(within, classes)].argmax(axis=1)] == labels[within])
        rows.append(within)
    if not right:
        return np.zeros(0, np.bool_), np.zeros(0, np.int64)
    return np.concatenate(right), np.concatenate(rows).astype(np.int64)


@dataclass(frozen=True)
class Covered:
    """The n pictures whose true class `specialists` of them have: how many were right before and are after."""

    specialists: int
    n: int
    right_before: int
    right_after: int

    @property
    def relative(self) -> float:
        """right after / before - 1; nan where none was right before."""
        return self.right_after / self.right_before - 1 if self.right_before else math.nan


def by_cover(labels: Ints, before: Flags, after: Flags, members: Sequence[Ints]) -> list[Covered]:
    """The table of the paper: gain by the number of specialists that cover the true class, ascending."""
    covers = np.zeros(int(max([labels.max(initial=0), *(classes.max(initial=0) for classes in members)])) + 1, int)
    for classes in members:
        covers[classes] += 1
    times = covers[labels]
    return [
        Covered(int(k), int((rows := times == k).sum()), int(before[rows].sum()), int(after[rows].sum()))
        for k in np.unique(times)
    ]


def spent(shown: int, *, taught: bool) -> float:
    """What it costs to fit nets that were shown so many pictures, in pictures that a net alone is shown: a teacher that
    looks at each of them adds a forward pass."""
    return shown * (1 + FORWARD) if taught else float(shown)


def control(cost: float, n: int, epochs: int) -> tuple[int, int]:
    """How many further generalists of how many epochs over n pictures spend what `spent` gives, and no less.

    As many as come nearest with `epochs` each, then as many epochs as it takes: few whole ones rather than many cut short.

    >>> control(cost=5_000, n=1_000, epochs=4)
    (1, 5)
    """
    nets = max(1, round(cost / (n * epochs)))
    return nets, math.ceil(cost / (n * nets) - 1e-9)
