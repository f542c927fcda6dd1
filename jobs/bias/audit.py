"""The audit by groups of a version: each measure over all groups, corrected together for false alarms.

Lint makes findings of it, and the report shows it: the same function and the same seed, so the same figures.
"""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from secondlook.jobs.bias import counting, groups, marks, outcomes
from secondlook.jobs.bias.counting import count
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.carried import carrier as carried
from secondlook.jobs.lint.carrier import Carrier
from secondlook.pipeline.bias import measures
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import GroupAudit, Measure
from secondlook.pipeline.core.config import Settings

if TYPE_CHECKING:  # what brings statsmodels is imported where there is something to compare
    from secondlook.jobs.bias.figures import Figured, Found

CODES = ("SL401", "SL402", "SL403", "SL404", "SL405", "SL406", "SL407")
NO_ATTRIBUTES = "the pictures have no attributes to compare groups by; columns of --labels beside file, label and split become attributes"
EVERYBODY = Grouping((), (), {})  # one cell


def audit(
    lake: Lake, version: Version, settings: Settings, *, carrier: Carrier | None = None, found: pa.Table | None = None
) -> GroupAudit:
    """The audit of a version; the same inputs give the same figures, whatever carries it.

    found: its findings SL101 and SL202, where lint has just made them; else they are computed. Raises UserError for settings that the attributes
    don't meet.
    """
    with contextlib.ExitStack() as stack:
        carried_by = carrier or stack.enter_context(carried(lake, settings, version))
        grouped = groups.grouped(lake, version, settings, carried_by)
        if not grouped.grouping.attributes:
            note = "; ".join([NO_ATTRIBUTES, *grouped.grouping.notes])
            return _told(version, grouped, settings.bias, [], 0, dict.fromkeys(CODES, note))
        compared = _compared(lake, version, settings, carried_by, grouped.grouping, found)
    tests = sum(comparison.count for _, comparison in compared.found)
    return _told(version, grouped, settings.bias, _adjusted(compared.found, settings.bias), tests, compared.notes)


def _told(
    version: Version,
    grouped: groups.Grouped,
    bias: BiasSettings,
    found: Sequence[Measure],
    tests: int,
    notes: Mapping[str, str],
) -> GroupAudit:
    return GroupAudit(
        version=version.id,
        samples=grouped.samples,
        attributes=grouped.audited,
        measures=found,
        depth=bias.depth,
        alpha=bias.alpha,
        confidence=bias.confidence,
        power=bias.power,
        correction=bias.correction,
        least_gap=bias.least_gap,
        least_npmi=bias.least_npmi,
        min_cell=bias.min_cell,
        tests=tests,
        seed=bias.seed,
        notes=dict(sorted(notes.items())),
    )


def _adjusted(found: "Sequence[Found]", bias: BiasSettings) -> list[Measure]:
    """The measures with their figures, corrected over all of them, and pooled where they are shares."""
    from secondlook.pipeline.bias.family import adjusted
    from secondlook.pipeline.bias.pooling import pooled

    told = []
    # Of classes and people each has a measure of its own; all of them are one kind.
    kinds = [dataclasses.replace(one, kind=measure.name.partition(":")[0]) for measure, one in found]
    for (measure, comparison), sure in zip(found, adjusted(kinds, bias), strict=True):
        its = pooled(sure, bias.confidence) if measure.unit == "share" else sure
        facts = {
            name: getattr(comparison, name) for name in ("n", "k", "overall", "untested", "gap", "worst", "method")
        }
        told.append(dataclasses.replace(measure, groups=its, **facts))
    return told


def _compared(
    lake: Lake, version: Version, settings: Settings, carrier: Carrier, grouping: Grouping, found: pa.Table | None
) -> "Figured":
    """Everything that this version has data for."""
    from secondlook.jobs.bias.figures import Figured, Known, everything

    model = dataset.newest_model(lake, version) if lake.latest("models", version, ["model"]).num_rows else None
    if found is None:
        found = marks.findings(lake, version, settings, carrier, model)
    marked = marks.marks(lake, version, carrier, found)
    waiting = list(dataset.quarantined(lake, version).values())
    classes = measures.chosen({name: n for name, n in carrier.counts().items() if name not in waiting})
    limits = _limits(carrier)
    asked: dict[str, outcomes.Outcome] = {measures.PICTURES: outcomes.everything}
    if len(classes) > 1:
        asked[measures.LABELS] = partial(outcomes.labels, classes, waiting)
    if model is not None:
        asked |= outcomes.of_model(classes, model.classes, checked=outcomes.IS_VERIFIED in marked.ids)
    if outcomes.IS_ASKED in marked.ids:
        asked[measures.ASKED] = outcomes.asked
    asked |= {name: partial(outcomes.poor, name, limit) for name, limit in limits.items() if limit is not None}
    copies = counting.clusters(carrier, marks.near(carrier, found))
    tables = count(carrier, grouping, asked, model=model, clusters=copies, marks=marked.ids)
    tables = {name: measures.aligned(its, measures.outcomes(name, classes)) for name, its in tables.items()}
    known = Known(lake, version, settings, carrier, grouping, tables, classes, model, marked.ids)
    figured = everything(known)
    return Figured(figured.found, {**marked.notes, **figured.notes})


def _limits(carrier: Carrier) -> dict[str, int | None]:
    """By quality, the step up to which a picture is in the worst tenth of the dataset."""
    steps = {name: partial(outcomes.levels, name) for name in measures.QUALITIES}
    tables = count(carrier, EVERYBODY, steps)
    return {
        name: measures.tail(dict(zip(map(int, its.outcomes), its.n.sum(axis=0).tolist(), strict=True)))
        for name, its in tables.items()
    }
