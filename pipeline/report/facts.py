"""What a report shows, as plain values: the job gathers them from the lake, the page turns them into HTML.

A section that there is nothing for is None, and the page says what would add it. All texts come from data and are
escaped by the page; counts are over the whole dataset, galleries and lists are a part of it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.rules import Rule
from secondlook.pipeline.core.statistics import Interval, Share, share


@dataclass(frozen=True)
class Counts:
    """What came in. found = samples + rejected; samples = labeled + unlabeled; `contents` are distinct pictures."""

    found: int
    samples: int
    contents: int
    labeled: int
    unlabeled: int
    rejected: int
    splits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reject:
    """A file that could not be read: `reason` is a name of a closed list, `detail` what the reader said."""

    key: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Rejects:
    """All rejects by reason, with the sentence that explains the reason, and the first of the files."""

    by_reason: Mapping[str, int]
    sentences: Mapping[str, str]
    files: tuple[Reject, ...]


@dataclass(frozen=True)
class ClassCount:
    """A class, the pictures that bear it, and how many of those labels SL101 doubts (None: never linted)."""

    name: str
    count: int
    doubted: int | None


@dataclass(frozen=True)
class Picture:
    """A thumbnail: `src` is a data URL, "" where the picture can't be shown; sizes in pixels of the thumbnail."""

    key: str
    src: str
    width: int = 0
    height: int = 0
    label: str | None = None
    split: str = ""


@dataclass(frozen=True)
class Card:
    """One finding in a gallery, with its pictures: one, or copies side by side (`more` of them are not shown).

    `given` and `suggested` are labels; `message` is the finding's own line where there is no suggestion.
    """

    pictures: tuple[Picture, ...]
    score: float
    message: str
    given: str | None = None
    suggested: str | None = None
    more: int = 0
    waiver: str = ""


@dataclass(frozen=True)
class RuleFindings:
    """What one rule found: `count` of all findings, of which `waived` are accepted by somebody.

    `covered` is how many of them the cards stand for: a card of copies stands for each of its pictures.
    """

    rule: Rule
    count: int
    waived: int
    cards: tuple[Card, ...]
    covered: int
    thresholds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """The newest run of lint; whether labels changed since then, and how many doubted ones were `settled` by that.

    `notes` says, by rule, what could not be looked at.
    """

    version: int
    stale: bool
    settled: int
    rules: tuple[RuleFindings, ...]
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def open(self) -> int:
        """Findings that nobody has waived."""
        return sum(found.count - found.waived for found in self.rules)


@dataclass(frozen=True)
class Confusion:
    """Given against predicted labels, out of sample: `pairs` {(given, predicted): count} for K classes in order."""

    classes: tuple[str, ...]
    pairs: Mapping[tuple[int, int], int]

    def matrix(self) -> npt.NDArray[np.int64]:
        """(K, K) counts, a row a given label."""
        counts = np.zeros((len(self.classes), len(self.classes)), np.int64)
        for (given, predicted), count in self.pairs.items():
            counts[given, predicted] = count
        return counts

    def top(self, n: int) -> list[tuple[str, str, int, Share]]:
        """The n most frequent disagreements: given, predicted, count, its share of the given class."""
        totals: dict[int, int] = {}
        for (given, _), count in self.pairs.items():
            totals[given] = totals.get(given, 0) + count
        wrong = sorted(
            ((count, given, predicted) for (given, predicted), count in self.pairs.items() if given != predicted),
            key=lambda row: (-row[0], row[1], row[2]),
        )
        return [(self.classes[g], self.classes[p], count, share(count, totals[g])) for count, g, p in wrong[:n]]


@dataclass(frozen=True)
class Rescored:
    """Agreement on a split that the model never learned from: all of it, without leaked pictures, on the leaked alone."""

    split: str
    everything: Share
    without: Share
    leaked: Share


@dataclass(frozen=True)
class ModelFacts:
    """The generalist: agreement with the labels of this version out of sample, and calibration before and after.

    `agreement` and `confusion` are of the pictures that it was cross-fitted on. `by_split` was measured at training,
    pictures left out that hashes said are leaked. `rescored` is without what lint says is leaked: the shares to quote,
    where there are any. `verified`: by split, how right it is on samples whose label was adjudicated. `chance` is the calibration error that a perfectly calibrated model
    would stay below with as many pictures.
    """

    name: str
    backbone: str
    version: int
    stale: bool
    agreement: Share
    confusion: Confusion
    ece_before: float | None
    ece_after: float | None
    chance: float | None
    by_split: Mapping[str, Share] = field(default_factory=dict)
    rescored: tuple[Rescored, ...] = ()
    verified: Mapping[str, Share] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Histogram:
    """How a figure is spread over the pictures: counts between edges (one more than counts)."""

    name: str
    unit: str
    counts: tuple[int, ...]
    edges: tuple[float, ...]


@dataclass(frozen=True)
class PictureFacts:
    """Statistics of distinct pictures. `mean` and `std`: of R, G, B in 0..1, each picture weighing the same."""

    n: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sizes: Mapping[str, int]
    formats: Mapping[str, int]
    modes: Mapping[str, int]
    histograms: tuple[Histogram, ...]


@dataclass(frozen=True)
class AttributeFacts:
    """Share of labels that SL101 doubts, by the value of an attribute; `hidden` values are not listed.

    `kept_back`: groups with too few pictures to be shown, and those that would give them away. `estimated`: a model said it.
    """

    name: str
    values: Mapping[str, Share]
    without: int
    hidden: int
    kept_back: int = 0
    estimated: bool = False

    @property
    def most(self) -> float:
        """Where the scale of the shares ends: at the end of the widest interval, rounded up to 5 %."""
        return min(1.0, math.ceil(max((s.interval.high for s in self.values.values()), default=1.0) * 20) / 20)


@dataclass(frozen=True)
class Estimated:
    """An estimated share, 0 to 1, with its interval, from `n` answers; unlike a counted Share, answers weigh differently."""

    value: float
    n: int
    interval: Interval


@dataclass(frozen=True)
class ShareFacts:
    """How many labels are wrong. `called` says what `value` is; `measured` is the same with its interval, None without answers.

    `population` labels as of version `drawn_from` were drawn from. `open`: why drawn pictures have no adjudicated label, and how many.
    """

    called: str
    value: float
    method: str
    p_error: str
    measured: Estimated | None = None
    population: int | None = None
    drawn_from: int = 0
    classes: Mapping[str, Estimated] = field(default_factory=dict)
    pooled: int = 0
    drawn: int = 0
    answered: int = 0
    adjudicated: int = 0
    open: Mapping[str, int] = field(default_factory=dict)
    changed: int = 0
    left: tuple[float, float] | None = None

    @property
    def most(self) -> float:
        """Where the scale of the bars ends: at the end of the widest interval, rounded up to 5 %."""
        ends = [one.interval.high for one in (*self.classes.values(), *([self.measured] if self.measured else []))]
        return min(1.0, math.ceil(max(ends, default=1.0) * 20) / 20)


@dataclass(frozen=True)
class PersonFacts:
    """How often one person's answer is wrong: `value` with its interval, from `answers` for `pictures`, known by `source`."""

    source: str
    value: float
    interval: Interval
    answers: int
    pictures: int


@dataclass(frozen=True)
class HumanFacts:
    """What a person would score here, by each source that tells; and how often the model is wrong on pictures that people agree on.

    `by_seconds`: (from, to) seconds → the error of answers that took so long.
    """

    people: tuple[PersonFacts, ...]
    by_seconds: Mapping[tuple[float, float], Estimated] = field(default_factory=dict)
    model: Share | None = None


@dataclass(frozen=True)
class VersionFacts:
    """A version in the history: what made it, and label events by source (of `labels` that changed)."""

    id: int
    job: str
    created: str
    line: str
    events: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None

    @property
    def by_people(self) -> bool:
        """Whether labels were set here by decisions, not by an ingest."""
        return any(source != "ingest" for source in self.events)


@dataclass(frozen=True)
class Change:
    """How often people's decisions turned one label into another."""

    before: str
    after: str
    count: int


@dataclass(frozen=True)
class History:
    """Versions, oldest first; label events by source; what decisions changed, most frequent first.

    `changed` counts all decisions that turned a label into another one, `first` those that gave a picture its first.
    """

    versions: tuple[VersionFacts, ...]
    by_source: Mapping[str, int]
    changes: tuple[Change, ...]
    changed: int
    first: int = 0


@dataclass(frozen=True)
class AskedGroup:
    """A group of people in a batch: `candidates` that could be asked for, and how many were, `without` and `with_` balance."""

    attribute: str
    group: str
    candidates: int
    without: int
    with_: int
    kept: float
    estimated: bool = False


@dataclass(frozen=True)
class AskedFacts:
    """Whom the newest balanced batch asks about. `kept`: rate of selection without balance over that of all.

    `kept_back`: groups with too few candidates to be shown, and those that would give them away.
    """

    batch: str
    groups: tuple[AskedGroup, ...]
    kept_back: int = 0


@dataclass(frozen=True)
class Facts:
    """Everything that the page shows."""

    title: str
    version: int
    created: str
    counts: Counts
    rejects: Rejects
    classes: tuple[ClassCount, ...]
    history: History
    findings: Findings | None = None
    share: ShareFacts | None = None
    human: HumanFacts | None = None
    model: ModelFacts | None = None
    pictures: PictureFacts | None = None
    attributes: tuple[AttributeFacts, ...] = ()
    attributes_left_out: tuple[str, ...] = ()
    asked: AskedFacts | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
