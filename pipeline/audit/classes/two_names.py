"""SL502: two classes that a model can't tell apart, or whose names look alike: perhaps two names for one thing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.audit.classes.names import NO_SYNONYMS, SPELLING, alike
from secondlook.pipeline.core.rules import Finding

Ints = npt.NDArray[np.int64]

LEAST = 0.02  # a class less probable than this does not compete
BOTH = 0.5  # two classes that are less probable than this together don't claim the picture
JOINT = 0.3  # share of the pictures of two classes that the two must claim together: else the model knows too little
BINS = 24  # of the log odds between two classes
WIDTH = 1 / 3  # of a bin; the outermost are open
PICTURES = 10  # of each of two classes that the model must have looked at
SURE = 1.645  # standard errors: the area is below the bound with 95 % confidence
APART = 0.8  # with an area above this, names alone don't make a finding: cricket and crickets may still be two things
NAMED = 5  # further classes that a finding names


@dataclass(frozen=True)
class Rivals:
    """How often classes compete for pictures: entry r tells of pictures labeled `given[r]` whose rival is `other[r]`.

    `bin` (R,) is the bin of log(p(given) / p(other)), lowest odds first, and `clear` whether p(given) alone is at least BOTH.
    Where `other` is the class itself, the entry counts all its pictures of which the model thinks so (bin 0).
    `n` (R,) counts pictures. Counts of parts of a dataset add up.
    """

    given: Ints
    other: Ints
    bin: Ints
    clear: npt.NDArray[np.bool_]
    n: Ints


def rivals(given: Ints, classes: npt.NDArray[np.int32], probs: npt.NDArray[np.float32]) -> Rivals:
    """Counts of n labeled pictures: `given` (n,) or -1; `classes`, `probs` (n, k) the most probable, -1 for none."""
    rows = np.flatnonzero(given >= 0)
    own = np.where(classes[rows] == given[rows, None], probs[rows], 0.0).sum(axis=1)
    held = probs[rows] >= LEAST
    row, column = np.nonzero(held & (classes[rows] >= 0) & (classes[rows] != given[rows, None]))
    p_other, p_own = probs[rows][row, column].astype(np.float64), own[row].astype(np.float64)
    both = p_own + p_other >= BOTH
    row, column, p_other, p_own = row[both], column[both], p_other[both], p_own[both]
    odds = np.log(np.maximum(p_own, 1e-9) / p_other)
    place = np.clip(np.floor(odds / WIDTH) + BINS // 2, 0, BINS - 1).astype(np.int64)
    entries = np.concatenate(
        [
            np.stack([given[rows][row], classes[rows][row, column].astype(np.int64), place, p_own >= BOTH]),
            np.stack([given[rows], given[rows], np.zeros(len(rows), np.int64), own >= BOTH]),
        ],
        axis=1,
    ).astype(np.int64)
    distinct, n = np.unique(entries, axis=1, return_counts=True)
    return Rivals(distinct[0], distinct[1], distinct[2], distinct[3].astype(np.bool_), n.astype(np.int64))


@dataclass(frozen=True)
class Overlap:
    """Two classes as a model sees them, first < second.

    `area` is the chance that p(first) / p(second) is larger for a picture labeled first than for one labeled second
    (area under the ROC curve): 0.5 where the label says nothing of how the model sees it, 1 where they never mix.
    `upper`: its one-sided 95 % bound. `joint`: the share of both classes' pictures that the two claim together.
    """

    first: int
    second: int
    area: float
    upper: float
    joint: float
    n_first: int
    n_second: int


@dataclass(frozen=True)
class Seen:
    """What a model sees of classes: `overlaps` of the pairs that compete for pictures, each way; `pictures` of each class."""

    overlaps: Mapping[tuple[int, int], Overlap]
    pictures: Mapping[int, int]

    def area(self, first: int, second: int) -> float | None:
        """How well the model tells two classes apart: 1 where they never compete; None where it saw too little of them."""
        if min(self.pictures.get(first, 0), self.pictures.get(second, 0)) < PICTURES:
            return None
        known = self.overlaps.get((first, second))
        return 1.0 if known is None else known.area


def seen(counts: Rivals) -> Seen:
    """Counts of all labeled pictures, each entry once, as areas."""
    order = np.lexsort((counts.other, counts.given))
    given, other, place, clear, n = (getattr(counts, name)[order] for name in ("given", "other", "bin", "clear", "n"))
    starts = np.flatnonzero(np.diff(given, prepend=-1) | np.diff(other, prepend=-1))
    ends = np.append(starts, len(given))[1:]
    total: dict[int, tuple[int, int]] = {}
    sides: dict[tuple[int, int], tuple[npt.NDArray[np.float64], int]] = {}
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        here = slice(start, end)
        clearly = int(n[here][clear[here]].sum())
        if given[start] == other[start]:
            total[int(given[start])] = (int(n[here].sum()), clearly)
        else:
            histogram = np.bincount(place[here], n[here], minlength=BINS).astype(np.float64)
            sides[int(given[start]), int(other[start])] = (histogram, clearly)
    found = {}
    for first, second in sides:
        if first < second and (second, first) in sides:
            one, two = ((*sides[pair], *total[pair[0]]) for pair in ((first, second), (second, first)))
            found[first, second] = _overlap(first, second, one, two)
    return Seen(found, {k: n for k, (n, _) in total.items()})


Side = tuple[npt.NDArray[np.float64], int, int, int]


def _overlap(first: int, second: int, one: Side, two: Side) -> Overlap:
    (a, n_first), (b, n_second) = (_claimed(side) for side in (one, two))
    b = b[::-1]  # of log(p(first) / p(second)) too
    n, m = a.sum(), b.sum()
    below = np.concatenate([[0.0], b.cumsum()[:-1]])
    area = float((a * (below + b / 2)).sum() / (n * m))
    # Hanley and McNeil 1982
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m)
    upper = area + SURE * float(np.sqrt(max(variance, 0.0)))
    return Overlap(first, second, area, upper, float(n + m) / (n_first + n_second), n_first, n_second)


def _claimed(side: Side) -> tuple[npt.NDArray[np.float64], int]:
    """Pictures of a class by log odds, with one bin more: those that it claims alone, where the other hardly competes."""
    histogram, clear, n, all_clear = side
    return np.append(np.concatenate([[0.0], histogram]), max(all_clear - clear, 0)), n


def two_names(
    names: Sequence[str],
    sizes: Mapping[str, int],
    model: Seen,
    area: float,
    synonyms: Mapping[str, Sequence[str]] = NO_SYNONYMS,
) -> Iterator[Finding]:
    """SL502: each class that may be another name of a larger one, in the order of `names`.

    `sizes`: labeled pictures by class. `model`: what it sees of classes by their places in `names`. Two classes are
    flagged where the model can't tell them apart: `upper` is at most `area`, and the two together claim at least JOINT of
    their pictures. Names that are one name written differently are flagged in any case; names with a synonym in common,
    or a letter apart, unless the model tells them apart (an area of at least APART). With `Seen({}, {})`, only names speak.
    """
    why: dict[tuple[int, int], tuple[float, Overlap | None, str]] = {}
    for pair, one in model.overlaps.items():
        enough = min(one.n_first, one.n_second) >= PICTURES
        if enough and one.joint >= JOINT and one.upper <= area:
            why[pair] = (min(2 * (1 - max(one.area, 0.5)), 1.0), one, "")
    for first, second, how in alike(names, synonyms):
        apart = model.area(first, second)
        if how == SPELLING or apart is None or apart < APART:
            score = 1.0 if how == SPELLING else max(0.5, why.get((first, second), (0.0,))[0])
            why[first, second] = (score, model.overlaps.get((first, second)), how)
    by_smaller: dict[int, list[tuple[int, float, Overlap | None, str]]] = {}
    for (first, second), said in why.items():
        small, large = sorted((first, second), key=lambda k: (sizes.get(names[k], 0), -k))
        by_smaller.setdefault(small, []).append((large, *said))
    for small in sorted(by_smaller):
        best = sorted(by_smaller[small], key=lambda one: (-one[1], -sizes.get(names[one[0]], 0), one[0]))
        yield _finding(names, sizes, small, best)


def _finding(
    names: Sequence[str], sizes: Mapping[str, int], small: int, best: Sequence[tuple[int, float, Overlap | None, str]]
) -> Finding:
    large, score, known, how = best[0]
    said = [how] if how else []
    evidence: dict[str, Any] = {
        "other": names[large],
        "names": how or None,
        "pictures": sizes.get(names[small], 0),
        "other_pictures": sizes.get(names[large], 0),
        "also": [names[one[0]] for one in best[1 : 1 + NAMED]],
    }
    if known is not None:
        said.append(f"the model tells their pictures apart with an area of {known.area:.2f} (0.5 is chance)")
        evidence |= {name: round(getattr(known, name), 4) for name in ("area", "upper", "joint")}
    more = f", and {len(best) - 1} more" if len(best) > 1 else ""
    message = f"may be another name for {names[large]}{more}: {'; '.join(said)}"
    return Finding("SL502", "class", names[small], names[small], round(score, 6), message, evidence=evidence)
