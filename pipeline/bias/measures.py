"""What an audit by groups compares: which outcome, among which pictures, and in which words.

A table counts by cell what became of a picture, its outcome; a measure reads one table: which outcomes are a hit, among which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.bias.calibration import bins
from secondlook.pipeline.bias.counts import Copies, Counts
from secondlook.pipeline.core.comparison import Measure, Unit, Worse

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

MOST_CLASSES = (
    20  # that are compared one by one, the most frequent: each is a comparison more that a finding must stand out of
)
OTHERS = "(other classes)"  # all the rest of them

# Tables, by what they count.
PICTURES, LABELS, DOUBTS, RIGHT, VERIFIED, PREDICTED, CONFIDENCE, ASKED, DISPUTED = (
    "pictures", "labels", "doubts", "right", "verified", "predicted", "confidence", "asked", "disputed",
)  # fmt: skip
NO_YES = ("no", "yes")
TENTH = 0.1  # of the dataset, its worst, that SL407 calls dark, blurred, small or flat
MOST_TIED = 0.25  # of the dataset that may be as bad as the tenth's best: more is no tail

# SL407: name, what a picture has less of, and words.
QUALITIES: Mapping[str, tuple[str, str]] = {
    "dark": ("brightness", "is among the darkest tenth of the dataset"),
    "blurred": ("blur", "is among the most blurred tenth of the dataset"),
    "small": ("side", "is among the smallest tenth of the dataset"),
    "low contrast": ("contrast", "is among the tenth of the dataset with the least contrast"),
}

JUDGED = "labeled pictures that a model judged out of sample"


@dataclass(frozen=True)
class Wanted:
    """A measure without its figures, the table that it reads, and (M,) which outcomes are a hit, and among which."""

    measure: Measure
    table: str
    hit: Flags
    among: Flags


def outcomes(table: str, classes: Sequence[str]) -> tuple[str, ...]:
    """The outcomes of a table, in order; `classes`: those that are compared one by one."""
    if table == PICTURES:
        return ("there",)
    if table == LABELS:
        return (*classes, OTHERS)
    if table == PREDICTED:
        both = (*classes, OTHERS)
        return tuple(f"{given} → {said}" for given in both for said in both)
    return bins().outcomes if table == CONFIDENCE else NO_YES


def aligned(counts: Counts, names: tuple[str, ...]) -> Counts:
    """Counts over all outcomes of a table, of those over the outcomes that occurred, which are called by their places."""
    at = np.array([int(place) for place in counts.outcomes], np.int64)
    n = np.zeros((len(counts.cells), len(names)), np.int64)
    n[:, at] = counts.n
    rows = counts.copies
    copies = None if rows is None else Copies(rows.cluster, rows.cell, at[rows.outcome])
    return Counts(counts.grouping, counts.cells, names, n, copies)


def predicted(given: Ints, said: Ints, n: int) -> Ints:
    """Places in the outcomes of PREDICTED: `given`, `said` are places in the n classes compared, -1 for others."""
    return np.asarray(np.where(given < 0, n, given) * (n + 1) + np.where(said < 0, n, said), np.int64)


def level(name: str, values: Reals) -> Ints:
    """(N,) steps of a quality's values, which pictures are counted by: 1,000 to 1 for parts, 64 to a doubling for the others.

    Values are what QUALITIES names, of 0 to 1 or, of `blurred` and `small`, from 0 up. nan is no value: -1.
    """
    known = np.where(np.isnan(values), 0.0, values)
    steps = 64 * np.log2(1 + known * 1024) if name in {"blurred", "small"} else 1000 * known
    return np.where(np.isnan(values), -1, np.floor(steps)).astype(np.int64)


def chosen(counts: Mapping[str, int]) -> list[str]:
    """The classes that are compared one by one, of all by their pictures: the most frequent, by name.

    >>> chosen({"dog": 2, "cat": 9})
    ['cat', 'dog']
    """
    return sorted(sorted(counts, key=lambda name: (-counts[name], name))[:MOST_CLASSES])


def tail(pictures: Mapping[int, int]) -> int | None:
    """The step up to which a picture is in the worst tenth, of numbers of pictures by step.

    Pictures of one step are in it together or not at all: None where that would make it more than MOST_TIED, as where all
    pictures have one size.

    >>> tail(dict.fromkeys(range(100), 1))
    9
    >>> tail({224: 5000}) is None
    True
    """
    total, reached = sum(pictures.values()), 0
    for step in sorted(pictures):
        reached += pictures[step]
        if reached >= TENTH * total:
            return step if reached <= MOST_TIED * total else None
    return None


def doubts() -> Wanted:
    """SL402."""
    return _yes("SL402", "label errors", "Labels that are doubted", "is doubted", JUDGED, DOUBTS)


def accuracy() -> Wanted:
    """SL403: how often the model names the given label."""
    words = ("accuracy", "The model agrees with the label", "is called what it is labeled", JUDGED)
    return _yes("SL403", *words, RIGHT, worse="lower")


def verified() -> Wanted:
    """SL403: how often the model names a label that people verified."""
    words = (
        "accuracy on verified labels",
        "The model agrees with a label that people verified",
        "is called what people agreed on",
    )
    return _yes("SL403", *words, f"{JUDGED}, of those whose label people verified", VERIFIED, worse="lower")


def errors(classes: Sequence[str], others: bool) -> list[Wanted]:
    """SL403: each class missed and imagined. Of two classes one's false positives are the other's false negatives.

    others: whether there are classes beyond `classes`.
    """
    places = len(classes) + 1
    given, said = np.divmod(np.arange(places * places), places)
    found = []
    for at, name in enumerate(classes):
        words = (
            f"false negatives: {name}",
            f"{name} missed",
            "is called something else",
            f"{JUDGED} and labeled {name}",
        )
        found.append(_wanted("SL403", *words, PREDICTED, (given == at) & (said != at), given == at))
    if others or len(classes) > 2:
        for at, name in enumerate(classes):
            words = (
                f"false positives: {name}",
                f"{name} imagined",
                f"is called {name}",
                f"{JUDGED} and labeled something else",
            )
            found.append(_wanted("SL403", *words, PREDICTED, (given != at) & (said == at), given != at))
    return found


def confidence() -> Measure:
    """SL403: how much surer the model is than right; its figures are of calibration.py."""
    words = (
        "confidence",
        "The model is surer than it is right",
        "is how much surer the model is than it is right",
        JUDGED,
    )
    return _measure("SL403", *words, "higher", "difference")


def association(name: str) -> Measure:
    """SL404, of one class; its figures are of association.py."""
    words = (f"association: {name}", f"{name} and groups", f"goes together with {name}", "labeled pictures")
    return _measure("SL404", *words, "either", "npmi")


def share() -> Measure:
    """SL401; its figures are of representation.py."""
    return _measure("SL401", "share", "Share of the pictures", "is there", "all pictures", "lower", "share")


def disputed() -> Wanted:
    """SL405: people contradict each other."""
    words = (
        "disagreement",
        "People contradict each other",
        "got two different answers from the first two people",
        "pictures that two people or more answered",
    )
    return _yes("SL405", *words, DISPUTED)


def differs(annotator: str) -> Measure:
    """SL405, of one person; its figures are of annotators.py."""
    words = (
        f"answers: {annotator}",
        f"{annotator} answers otherwise than the others",
        "is answered otherwise than most of the others did",
    )
    return _measure("SL405", *words, f"pictures that {annotator} and two others or more answered", "higher", "share")


def asked() -> Wanted:
    """SL406."""
    words = (
        "asked",
        "Pictures that the queue chose",
        "was chosen for people",
        "pictures that could have been asked for",
    )
    return _yes("SL406", *words, ASKED, worse="either")


def quality(name: str) -> Wanted:
    """SL407, of one of QUALITIES."""
    title = f"{name[0].upper()}{name[1:]} pictures"
    return _yes("SL407", name, title, QUALITIES[name][1], "all pictures that could be read", name)


def _yes(
    rule: str, name: str, title: str, outcome: str, population: str, table: str, worse: Worse = "higher"
) -> Wanted:
    return _wanted(
        rule, name, title, outcome, population, table, np.array([False, True]), np.array([True, True]), worse
    )


def _wanted(
    rule: str,
    name: str,
    title: str,
    outcome: str,
    population: str,
    table: str,
    hit: Flags,
    among: Flags,
    worse: Worse = "higher",
) -> Wanted:
    return Wanted(_measure(rule, name, title, outcome, population, worse, "share"), table, hit, among)


def _measure(rule: str, name: str, title: str, outcome: str, population: str, worse: Worse, unit: Unit) -> Measure:
    return Measure(rule, name, title, outcome, population, worse, unit)
