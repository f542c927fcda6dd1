"""What was measured of students and their teachers, on the same held-out pictures: the points of a frontier."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from secondlook.pipeline.core.comparison import Estimate

Role = Literal["student", "teacher"]


@dataclass(frozen=True)
class Axis:
    """One thing that students are compared by: the attribute of Point, in words, and whether more of it is better."""

    name: str
    words: str
    higher: bool = False
    cost: bool = False


AXES = (
    Axis("accuracy", "accuracy", higher=True),
    Axis("conditional", "accuracy within clusters", higher=True),
    Axis("latency", "latency at batch 1", cost=True),
    Axis("latency_64", "latency at batch 64", cost=True),
    Axis("madds", "multiply-adds", cost=True),
    Axis("params", "parameters", cost=True),
    Axis("bytes", "bytes on disk", cost=True),
    Axis("gap", "gap between groups"),
    Axis("forgotten", "classes forgotten"),
    Axis("robust", "accuracy under attack", higher=True),
)


@dataclass(frozen=True)
class Fall:
    """How far a student is below its teacher on the same `n` pictures, of a group or class.

    fall: the teacher's accuracy less the student's, with an interval (of groups, all of them at once). p: adjusted over all that
    were compared.
    """

    name: str
    n: int
    teacher: Estimate
    student: Estimate
    fall: Estimate
    p: float
    attribute: str = ""

    @property
    def words(self) -> str:
        """`race Indian`, or a class's name."""
        return f"{self.attribute} {self.name}".strip()


@dataclass(frozen=True)
class Better:
    """Another point that beats this one: its name, and the axes on which it is surely better."""

    name: str
    surely: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """One student's file, or a teacher.

    model: as the lake names it; net: `mobilenet-v1:0.5`; image_px: the side of its pictures; numbers: `float32`, `int8`; teacher: the point it is compared with, "" of a
    teacher. n: pictures. conditional: accuracy where only the classes of the label's cluster are allowed. latency, latency_64:
    seconds for a batch of 1, of 64; median of the rounds, with quartiles as the interval. madds, params, bytes: nan where there is no single net.
    gap: between the best and the worst group of one attribute. groups, forgotten: against the teacher, `groups` those with
    enough pictures, `forgotten` those of the `classes` compared that it forgot. robust: accuracy under PGD, `fgsm` under FGSM, `calm`
    of the same pictures as they are. taught: the student's accuracy less its teacher's. against: accuracy less that of
    every other point. better: those that beat it, none on the frontier. refused: why the gate holds it back, "" where it passes.
    """

    name: str
    model: str
    net: str
    role: Role
    n: int
    accuracy: Estimate
    latency: Estimate
    latency_64: Estimate
    madds: float
    params: float
    bytes: float
    numbers: str = "float32"
    image_px: int = 0
    teacher: str = ""
    conditional: Estimate | None = None
    gap: Estimate | None = None
    groups: tuple[Fall, ...] = ()
    forgotten: tuple[Fall, ...] = ()
    classes: int = 0
    robust: Estimate | None = None
    fgsm: Estimate | None = None
    calm: Estimate | None = None
    taught: Estimate | None = None
    against: Mapping[str, Estimate] = field(default_factory=dict)
    better: tuple[Better, ...] = ()
    refused: str = ""
    note: str = ""

    @property
    def on_frontier(self) -> bool:
        """Whether nobody beats it."""
        return not self.better

    @property
    def worst(self) -> Fall | None:
        """The group that fell furthest below the teacher; None where no group was compared."""
        return max(self.groups, key=lambda one: one.fall.value, default=None)

    def value(self, axis: str) -> float:
        """The figure on one of AXES; nan where it was not measured."""
        if axis == "forgotten":
            return float(len(self.forgotten)) if self.classes else math.nan
        its = getattr(self, axis)
        return math.nan if its is None else float(its.value if isinstance(its, Estimate) else its)


@dataclass(frozen=True)
class Frontier:
    """All points of one run, and what they were measured on.

    pictures: in words; n: how many; held_out: whether no student has learned from them. attack: ε of 255, `attacked` pictures
    under it. rounds: of latency. margin, forgot: the falls of a group, and of a class, that are too much. read_version: the
    version that was measured. notes: what to know, in sentences.
    """

    points: Sequence[Point]
    pictures: str
    n: int
    held_out: bool
    attack: float
    attacked: int
    rounds: int
    margin: float
    forgot: float
    read_version: int
    seed: int
    notes: tuple[str, ...] = ()
    machine: Mapping[str, object] = field(default_factory=dict)
    commit: str = ""
    created: str = ""

    @property
    def students(self) -> list[Point]:
        """Without teachers."""
        return [point for point in self.points if point.role == "student"]

    @property
    def teachers(self) -> list[Point]:
        """Whoever taught them."""
        return [point for point in self.points if point.role == "teacher"]


def line(cost: Sequence[float], gain: Sequence[float]) -> list[int]:
    """Places of the points of two axes that none is both cheaper and better than, from the cheapest: the line of a picture.

    >>> line([3, 1, 2, 4], [0.8, 0.5, 0.4, 0.9])
    [1, 0, 3]
    """
    found: list[int] = []
    for place in sorted(range(len(cost)), key=lambda at: (cost[at], -gain[at])):
        if not found or gain[place] > gain[found[-1]]:
            found.append(place)
    return found
