"""From answers and seconds to the points of a frontier: figures with intervals, who pays, who beats whom, who is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from secondlook.jobs.frontier.held_out import HeldOut
from secondlook.pipeline.core.comparison import Estimate
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.frontier import AXES, Better, Fall, Point
from secondlook.pipeline.core.paired import paired_interval
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import Interval

if TYPE_CHECKING:
    from secondlook.jobs.frontier.asked import Asked

Flags = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.float64]

LEAST_PICTURES = 6  # of a class: with fewer no exact test of two models can say anything (Tarone 1990)
MOST_AT_ONCE = 2**22  # pictures times draws that are in memory


@dataclass(frozen=True)
class Answers:
    """What M models answered, in their order. right: (M, N). within: (M, P), of P pairs of a picture and a cluster. single, batch:
    (R, M) seconds. attacked: of the models that have a gradient, by place, three times (A,): right on pictures as they are, under
    FGSM, under PGD."""

    right: Flags
    within: Flags
    single: Reals
    batch: Reals
    attacked: Mapping[int, tuple[Flags, Flags, Flags]]


def points(settings: Settings, asked: "Sequence[Asked]", held: HeldOut, answers: Answers) -> list[Point]:
    """A point a model, in their order."""
    from secondlook.pipeline.learn.students import fallen

    wanted = settings.frontier
    attributes = [list(its.values()) for its in held.attributes.values()]
    drawn = _gaps(answers.right, attributes, wanted.draws, generator(wanted.seed, "gaps"))
    place = {one.model: number for number, one in enumerate(asked)}
    found = []
    for number, one in enumerate(asked):
        right = answers.right[number]
        point = Point(
            one.model, one.model, one.net, one.role, len(right),
            fallen.estimate(int(right.sum()), len(right)),
            _middle(answers.single[:, number]), _middle(answers.batch[:, number]),
            float(one.madds), float(one.params), float(one.bytes),
            numbers=one.numbers, teacher=one.teacher, note=one.note, image_px=one.image_px,
            conditional=_share(answers.within[number]), gap=_gap(drawn, answers.right, attributes, number),
        )  # fmt: skip
        if number in answers.attacked:
            calm, fgsm, pgd = (_share(its) for its in answers.attacked[number])
            point = replace(point, calm=calm, fgsm=fgsm, robust=pgd)
        if one.teacher:
            point = _beside(point, answers.right[place[one.teacher]], right, held, settings)
        found.append(point)
    students = [number for number, one in enumerate(asked) if one.role == "student"]
    for number, changes in zip(
        students, _compared([found[at] for at in students], students, answers, drawn), strict=True
    ):
        found[number] = replace(found[number], better=changes[0], against=changes[1])
    return found


def _beside(point: Point, teacher: Flags, student: Flags, held: HeldOut, settings: Settings) -> Point:
    """The point with what the student lost, or gained, beside its teacher: by group, by class, and in all."""
    from secondlook.pipeline.learn.students import fallen

    wanted = settings.frontier
    names = [(attribute, value) for attribute, its in held.attributes.items() for value in its]
    groups = fallen.falls(teacher, student, names, [rows for its in held.attributes.values() for rows in its.values()])
    counts = np.bincount(held.labels, minlength=len(held.classes))
    enough = np.flatnonzero(counts >= LEAST_PICTURES)
    order = np.argsort(held.labels, kind="stable")
    inside = np.split(order, np.cumsum(counts)[:-1])
    classes = fallen.falls(teacher, student, [("", held.classes[k]) for k in enough], [inside[k] for k in enough])
    gone = fallen.refused(groups, wanted.worst_group)
    return replace(
        point,
        groups=groups,
        classes=len(classes),
        forgotten=fallen.forgotten(classes, wanted.forgotten),
        taught=_difference(student, teacher),
        refused=_why(gone, wanted.worst_group) if gone else "",
    )


def _why(gone: Sequence[Fall], margin: float) -> str:
    worst = gone[0]
    low, high = worst.fall.interval.low * 100, worst.fall.interval.high * 100
    more = f", and {len(gone) - 1} more groups" if len(gone) > 2 else f", and {gone[1].words}" if len(gone) == 2 else ""
    return (
        f"{worst.words} falls by {worst.fall.value * 100:.1f} points below the teacher ({low:.1f} to {high:.1f}, n = {worst.n:,}), "
        f"more than the {margin * 100:g} allowed{more}"
    )


def _compared(
    found: Sequence[Point], places: Sequence[int], answers: Answers, drawn: Reals
) -> list[tuple[tuple[Better, ...], dict[str, Estimate]]]:
    """For each student who beats it, surely on which axes; and its accuracy less that of each other."""
    from secondlook.pipeline.learn.students import frontier

    sign = np.array([1.0 if axis.higher else -1.0 for axis in AXES])
    values = np.array([[point.value(axis.name) for axis in AXES] for point in found]) * sign
    right = answers.right[places]
    surely = dict(zip((axis.name for axis in AXES), frontier.sure(values), strict=True))
    surely |= {
        "accuracy": frontier.sure_of_answers(right),
        "conditional": frontier.sure_of_answers(answers.within[places]),
        "latency": frontier.sure_of_times(answers.single[:, places]),
        "latency_64": frontier.sure_of_times(answers.batch[:, places]),
        "gap": frontier.sure_of_draws(drawn[places]),
        "forgotten": np.zeros_like(
            surely["forgotten"]
        ),  # a count of findings: it keeps a student on, and throws none off
    }
    if all(place in answers.attacked for place in places):
        surely["robust"] = frontier.sure_of_answers([answers.attacked[place][2] for place in places])
    certain = np.stack([surely[axis.name] for axis in AXES])
    beats = frontier.dominates(values, certain)
    out = []
    for j, point in enumerate(found):
        better = tuple(
            Better(found[i].name, tuple(axis.name for axis, its in zip(AXES, certain, strict=True) if its[i, j]))
            for i in np.flatnonzero(beats[:, j])
        )
        against = {other.name: _difference(right[j], right[i]) for i, other in enumerate(found) if other is not point}
        out.append((better, against))
    return out


def _gaps(
    right: Flags, attributes: Sequence[Sequence[npt.NDArray[np.int64]]], times: int, rng: np.random.Generator
) -> Reals:
    """(M, B) gaps between groups in bootstrap draws, some draws at a time; B is 0 where there are no groups."""
    from secondlook.pipeline.learn.students import fallen

    if not attributes:
        return np.zeros((len(right), 0))
    n = right.shape[1]
    at_once = max(1, MOST_AT_ONCE // max(n, 1))
    parts = [
        fallen.gaps(right, attributes, fallen.draws(n, min(at_once, times - start), rng))
        for start in range(0, times, at_once)
    ]
    return np.concatenate(parts, axis=1)


def _gap(
    drawn: Reals, right: Flags, attributes: Sequence[Sequence[npt.NDArray[np.int64]]], number: int
) -> Estimate | None:
    from secondlook.pipeline.learn.students import fallen

    if not attributes:
        return None
    value = float(fallen.gaps(right[number : number + 1], attributes)[0, 0])
    low, high = np.quantile(drawn[number], [0.025, 0.975])
    return Estimate(value, Interval(min(float(low), value), max(float(high), value)))


def _difference(one: Flags, other: Flags) -> Estimate:
    """Accuracy of one less that of the other on the same pictures, with its paired interval."""
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    return Estimate((gained - lost) / len(one), paired_interval(gained, lost, len(one)))


def _share(right: Flags) -> Estimate | None:
    from secondlook.pipeline.learn.students import fallen

    return fallen.estimate(int(right.sum()), len(right)) if len(right) else None


def _middle(seconds: Reals) -> Estimate:
    low, middle, high = (float(value) for value in np.quantile(seconds, [0.25, 0.5, 0.75]))
    return Estimate(middle, Interval(low, high))
