"""What an audit by groups says: for each measure, each group beside what it is held against, with intervals.

`pipeline.bias` makes these records, lint turns them into findings, and the report shows them: the same figures everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import Interval

Worse = Literal["higher", "lower", "either"]
Unit = Literal["share", "difference", "npmi"]


@dataclass(frozen=True)
class Estimate:
    """A figure and where it lies."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Compared:
    """One group in one measure.

    n: pictures (or answers) of the group that could count; k: of them, those that did, not whole where they are weighed.
    raw: as counted. against: what it is held against, the rest of the pictures or a reference. effect: figure minus
    `against`, in the measure's unit. pooled: drawn towards the others of its depth as far as n is small (empirical Bayes).
    corrected: for the errors of who or what said it (a detector, a model that estimated the attribute); where it is there,
    `effect` and `p` are of it. p: of this comparison alone; adjusted: over the whole report. smallest_gap: the smallest
    difference that n pictures would have shown with the report's power, nan where none would. missing: how many pictures
    the group lacks to have its share (SL401), negative where it has more.

    Beside them, where a rule has them: bounds: between which shares the group would lie whatever those who did not say would
    have said (SL401). lift: how many times as often as by chance (SL404). calibration_error: of the group (SL403), and
    calibration_chance: what a perfectly calibrated model stays below, in 95 % of groups of this size. answers: people's
    answers on its own pictures, that `corrected` rests on (SL402).
    """

    group: Group
    n: int
    k: float
    raw: Estimate
    against: Estimate
    effect: Estimate
    p: float
    adjusted: float = float("nan")
    smallest_gap: float = float("nan")
    pooled: Estimate | None = None
    corrected: Estimate | None = None
    missing: float | None = None
    bounds: Interval | None = None
    lift: Estimate | None = None
    calibration_error: float | None = None
    calibration_chance: float | None = None
    answers: int | None = None

    @property
    def figure(self) -> Estimate:
        """What the group is said to have: the corrected figure where there is one."""
        return self.corrected or self.raw


@dataclass(frozen=True)
class Measure:
    """One thing that is compared over all groups.

    rule: its code. name: short and unique in an audit, such as `accuracy` or `false negatives: cat`. outcome: what is
    counted, in words that end a sentence ("… is doubted"). population: among what. worse: which direction harms. note: why
    there is nothing, or what to know, in a sentence. gap: the largest difference between two groups of one depth, and
    `worst` the group that fares worst, None where nothing was compared. method: how intervals and p were made, in words.
    """

    rule: str
    name: str
    title: str
    outcome: str
    population: str
    worse: Worse
    unit: Unit = "share"
    n: int = 0
    k: float = 0.0
    overall: Estimate | None = None
    groups: Sequence[Compared] = ()
    untested: int = 0  # groups that are too small: fewer than min_cell
    gap: Estimate | None = None
    worst: Group | None = None
    method: str = ""
    note: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Changed:
    """One group in one measure, at two versions: did what happened between them help this group?

    measure, rule, outcome, worse: as of `Measure`. n: pictures that count at both versions, the same ones where `paired`
    (else, of SL401, the pictures of the later version that the share is of). before, after: the share at each. gained:
    pictures that count now and did not; lost: the other way round. difference: after minus before, with an interval that
    knows of the pairs. p: of this group alone; adjusted: over everything that was compared. note: what to know, in a sentence.
    """

    measure: str
    group: Group
    n: int
    before: Estimate
    after: Estimate
    difference: Estimate
    p: float
    adjusted: float = float("nan")
    gained: int = 0
    lost: int = 0
    rule: str = ""
    outcome: str = ""
    worse: Worse = "higher"
    paired: bool = True
    note: str = ""

    def helped(self, alpha: float) -> bool | None:
        """Whether it got better for the group, or (False) worse; None where the pictures don't say it surely."""
        if not self.adjusted <= alpha or self.worse == "either":
            return None
        return (self.difference.value < 0) == (self.worse == "higher")


@dataclass(frozen=True)
class AuditedAttribute:
    """An attribute of an audit: its groups and how many pictures each has, who said it, and what was repaired.

    `estimated`: a model said it. `missing`: pictures that have no value. `repaired`: values that a repair changed, pictures.
    """

    name: str
    counts: Mapping[str, int]
    estimated: bool = False
    described: str = ""
    missing: int = 0
    repaired: int = 0


@dataclass(frozen=True)
class GroupAudit:
    """An audit by groups of one version. tests: comparisons in its family; `notes`: by rule, why it says nothing."""

    version: int
    samples: int
    attributes: Sequence[AuditedAttribute]
    measures: Sequence[Measure]
    depth: int
    alpha: float
    confidence: float
    power: float
    correction: str
    least_gap: float
    min_cell: int
    tests: int
    seed: int
    notes: Mapping[str, str] = field(default_factory=dict)
    least_npmi: float = 0.0

    @property
    def estimated(self) -> frozenset[str]:
        """Names of the attributes that a model estimated."""
        return frozenset(one.name for one in self.attributes if one.estimated)

    def of(self, rule: str) -> list[Measure]:
        """The measures of a rule."""
        return [one for one in self.measures if one.rule == rule]

    def found(self, measure: Measure) -> list[Compared]:
        """The groups of a measure that are findings: sure beyond alpha over the whole report, and large enough to matter."""
        return [one for one in measure.groups if one.adjusted <= self.alpha and self.matters(measure, one)]

    def matters(self, measure: Measure, one: Compared) -> bool:
        """Whether a difference is large enough, and in the direction that harms."""
        size = one.effect.value
        harms = measure.worse == "either" or (size > 0) == (measure.worse == "higher")
        return harms and abs(size) >= (self.least_gap if measure.unit != "npmi" else self.least_npmi)
