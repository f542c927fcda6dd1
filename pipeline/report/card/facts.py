"""What a data card says, as plain values: what people said in `[card]`, and what the lake knows. The job gathers them.

Groups with few pictures are not in here at all: `Cells` has only how many they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from secondlook.pipeline.core.bias_config import CardSettings
from secondlook.pipeline.core.cells import Cells
from secondlook.pipeline.core.statistics import Interval


@dataclass(frozen=True)
class CardAttribute:
    """An attribute and its groups. `missing`: pictures without a value, None where they are few and so among the hidden.

    `described`: what its values mean and who gave them. `estimated`: a model did; `errors`: of each true value with enough
    pictures how many of n the model estimated wrong, (wrong, n). `repaired`: pictures whose value a repair changed. `mangled`: those
    whose value looks mangled, and nobody has confirmed a repair. `groups` None: almost every
    picture has a value of its own.
    """

    name: str
    groups: Cells | None
    missing: int | None
    described: str = ""
    estimated: bool = False
    errors: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    repaired: int = 0
    mangled: int = 0


@dataclass(frozen=True)
class CardLabels:
    """Where labels come from. `holding`: labels that hold, by their source; `reviewed`: of those, decided by people.

    `answers` of `annotators` people for `asked` pictures. `changed`: decisions that turned a label into another one.
    `platform`: answers came from a labeling tool.
    """

    holding: Mapping[str, int]
    reviewed: int
    annotators: int
    answers: int
    asked: int
    changed: int
    platform: bool = False


@dataclass(frozen=True)
class WrongLabels:
    """How many labels are wrong: `called` says what `value` is; without an interval nobody has audited."""

    called: str
    value: float
    interval: Interval | None
    n: int


@dataclass(frozen=True)
class CardFinding:
    """How often a rule of lint speaks: findings that nobody has waived."""

    rule: str
    name: str
    count: int


@dataclass(frozen=True)
class CardFacts:
    """A dataset as its card shows it. `date`: of its version, ISO 8601. `said`: what people said.

    `differences`: what the comparison of groups found, a sentence each, the largest first, of groups that are shown.

    `licenses`, `consents`: values of those columns, None where there is no such column. `classes_waiting`: classes whose name waits for a sign-off;
    they and their pictures are not in it.
    """

    said: CardSettings
    title: str
    version: int
    date: str
    program: str
    samples: int
    contents: int
    labeled: int
    rejected: Mapping[str, int]
    classes: Mapping[str, int]
    classes_waiting: int
    splits: Mapping[str, int]
    sources: Mapping[str, int]
    formats: Mapping[str, int]
    licenses: Cells | None
    consents: Cells | None
    attributes: tuple[CardAttribute, ...]
    labels: CardLabels
    wrong: WrongLabels | None
    findings: tuple[CardFinding, ...] | None
    versions: int
    first: str
    min_cell: int
    differences: tuple[str, ...] = ()

    @property
    def creators(self) -> tuple[str, ...]:
        """Who made it."""
        return tuple(name.strip() for name in self.said.creators.split(",") if name.strip())

    @property
    def tags(self) -> tuple[str, ...]:
        """Words that it is found by."""
        return tuple(tag.strip() for tag in self.said.tags.split(",") if tag.strip())

    @property
    def license(self) -> str:
        """The licence of the whole: as people said, else the one that all pictures bear, else "" where they differ or none is known."""
        if self.said.license.strip():
            return self.said.license.strip()
        one = self.licenses
        whole = one is not None and not one.hidden and one.total == self.samples and len(one.shown) == 1
        return next(iter(one.shown)) if one is not None and whole else ""
