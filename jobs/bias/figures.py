"""From counts to comparisons: which measures a version has data for, and why the others have nothing."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.bias import answers, outcomes
from secondlook.jobs.bias.counting import cells_of
from secondlook.jobs.bias.groups import reference_text
from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.carrier import Carrier
from secondlook.jobs.share.adjudicated import audit as read_audit
from secondlook.pipeline.bias import detector, measures
from secondlook.pipeline.bias.annotators import differing
from secondlook.pipeline.bias.association import associate
from secondlook.pipeline.bias.calibration import miscalibration
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.estimated import corrected, left_out
from secondlook.pipeline.bias.family import Comparison
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.measures import Wanted
from secondlook.pipeline.bias.reference import shares
from secondlook.pipeline.bias.representation import represent
from secondlook.pipeline.bias.shares import compare
from secondlook.pipeline.core.comparison import Measure
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.seeds import generator

NO_MODEL = "no model has looked at the pictures yet; `secondlook train` brings one"
NO_REFERENCE = "[bias] reference is not set: a CSV file with the columns attribute, value, share, or `uniform`"
NOBODY = "nobody has answered yet; `secondlook review push` asks people"
ONE_EACH = "no picture has answers of two people, so nobody can disagree"
TWO_CLASSES = "fewer than two classes have pictures"
ENOUGH_ANSWERS = 100  # of an audit, from which on SL402 is of wrong labels, not of doubted ones

HALF = 0.5  # p_error from which on a changed label counts as one that was doubted, where no other doubt says it

Found = tuple[Measure, Comparison]


class Figured(NamedTuple):
    """What was compared, in order, and by rule why something was not."""

    found: list[Found]
    notes: dict[str, str]


@dataclass(frozen=True)
class Known:
    """All that a version's measures are made of. classes: those that are compared one by one."""

    lake: Lake
    version: Version
    settings: Settings
    carrier: Carrier
    grouping: Grouping
    tables: Mapping[str, Counts]
    classes: list[str]
    model: Model | None
    marks: Mapping[str, pa.Array]

    def rng(self, measure: Measure) -> np.random.Generator:
        """Of one measure, so that no measure's figures depend on which others there are."""
        return generator(self.settings.bias.seed, "bias", measure.rule, measure.name)

    def share(self, wanted: Wanted, counts: Counts | None = None) -> Found:
        """A share by groups."""
        its = counts if counts is not None else self.tables[wanted.table]
        bias, worse = self.settings.bias, wanted.measure.worse
        rng = self.rng(wanted.measure)
        plain = compare(its, wanted.hit, among=wanted.among, settings=bias, rng=rng, worse=worse)
        told, refused = corrected(plain, its, wanted.hit, among=wanted.among, settings=bias, rng=rng)
        note = "; ".join(one.why for one in refused)
        return dataclasses.replace(wanted.measure, note=note or wanted.measure.note), told

    def without_estimated(self, measure: Measure, comparison: Comparison) -> Found:
        """A measure that knows no correction for attributes that a model estimated: it says nothing of their groups."""
        return measure, left_out(comparison, self.grouping)


def everything(known: Known) -> Figured:
    """All measures that there are data for, in the order of their rules."""
    parts = (_represented, _doubted, _modeled, _associated, _answered, _asked, _pictured)
    figured = [part(known) for part in parts]
    notes: dict[str, str] = {}
    for part in figured:
        notes |= part.notes
    return Figured([one for part in figured for one in part.found], notes)


def _represented(known: Known) -> Figured:
    text = reference_text(known.settings)
    if text is None:
        return Figured([], {"SL401": NO_REFERENCE})
    measure, reference = measures.share(), shares(known.grouping, text)
    counts = known.tables[measures.PICTURES]
    comparison = represent(counts, reference, known.settings.bias, known.rng(measure))
    return Figured([known.without_estimated(measure, comparison)], {})


def _doubted(known: Known) -> Figured:
    """SL402, of wrong labels where an audit has told enough of them, else of doubted ones."""
    if known.model is None:
        return Figured([], {"SL402": NO_MODEL})
    measure, comparison = known.share(measures.doubts())
    told = _audited(known)
    n = len(told.cell)
    if n < ENOUGH_ANSWERS:
        note = (
            f"rates are of doubted labels, not of wrong ones: fewer than {ENOUGH_ANSWERS} audit answers ({n:,}) say how often a doubt "
            "is right; `secondlook review push --audit 200` asks for some"
        )
        return Figured([(measure, comparison)], {"SL402": note})
    _, comparison = known.without_estimated(measure, comparison)
    comparison = detector.corrected(comparison, known.tables[measures.DOUBTS], told, known.settings.bias)
    return Figured([(measure, comparison)], {"SL402": f"rates are of wrong labels, corrected by {n:,} audit answers"})


def _audited(known: Known) -> detector.Answers:
    """The adjudicated answers of the newest audit, as far as the model judges these pictures, beside what the detector says.

    Both are of the labels at the draw: what the audit itself has mended since is no longer like what nobody looked at. Of a
    label that was changed, the detector's score at the draw says whether it was doubted.
    """
    found = read_audit(known.lake, known.version, known.settings)
    drawn = [one for one in found.drawn if one.wrong is not None and one.score is not None] if found else []
    ids = pa.array([one.sample_id for one in drawn], pa.string())
    counts = known.tables[measures.DOUBTS]
    code = cells_of(known.carrier, known.grouping, ids)
    codes = known.grouping.join(counts.cells)  # in order: they were counted in it
    at = np.minimum(np.searchsorted(codes, code), max(len(codes) - 1, 0))
    there = np.flatnonzero(codes[at] == code) if len(codes) and len(code) else np.zeros(0, np.int64)
    doubted = np.asarray(
        pc.is_in(ids, value_set=known.marks[outcomes.DOUBTED]).to_numpy(zero_copy_only=False), np.int64
    )
    today = known.carrier.of_samples(ids)
    label = dict(zip(today["sample_id"].to_pylist(), today["label"].to_pylist(), strict=True))
    changed = np.array([label.get(one.sample_id) != one.given for one in drawn], bool)
    score = np.array([one.score for one in drawn], np.float64)
    known_doubts = score[~changed & (doubted > 0)]
    least = known_doubts.min() if len(known_doubts) else HALF
    outcome = np.where(changed, score >= least, doubted > 0).astype(np.int64)
    wrong = np.array([one.wrong for one in drawn], np.float64)
    inclusion = np.array([one.inclusion for one in drawn], np.float64)
    return detector.Answers(at[there], outcome[there], wrong[there], inclusion[there])


def _modeled(known: Known) -> Figured:
    if known.model is None:
        return Figured([], {"SL403": NO_MODEL})
    found = [known.share(measures.accuracy())]
    if measures.VERIFIED in known.tables:
        found.append(known.share(measures.verified()))
    others = bool(set(known.model.classes) - set(known.classes))
    found += [known.share(one) for one in measures.errors(known.classes, others)]
    measure = measures.confidence()
    comparison = miscalibration(known.tables[measures.CONFIDENCE], known.settings.bias, known.rng(measure))
    return Figured([*found, known.without_estimated(measure, comparison)], {})


def _associated(known: Known) -> Figured:
    if measures.LABELS not in known.tables:
        return Figured([], {"SL404": TWO_CLASSES})
    rng = known.rng(measures.association(""))
    found = associate(known.tables[measures.LABELS], known.settings.bias, rng)
    # Of two classes, one being frequent in a group is the other being rare there.
    told = known.classes[:1] if len(known.classes) == 2 else known.classes
    return Figured(
        [known.without_estimated(measures.association(name), found[name]) for name in told if name in found], {}
    )


def _answered(known: Known) -> Figured:
    bias = known.settings.bias
    told = answers.answered(known.lake, known.version, known.carrier, known.grouping, 2 * bias.min_cell)
    if told.disputed is None:
        return Figured([], {"SL405": ONE_EACH if told.answers else NOBODY})
    found = [known.share(measures.disputed(), told.disputed)]
    for name, counts in told.by_person.items():
        found.append(known.without_estimated(measures.differs(name), differing(counts, bias)))
    return Figured(found, {})


def _asked(known: Known) -> Figured:
    return Figured([known.share(measures.asked())] if measures.ASKED in known.tables else [], {})


def _pictured(known: Known) -> Figured:
    there = [name for name in measures.QUALITIES if name in known.tables]
    left_out = [name for name in measures.QUALITIES if name not in known.tables]
    note = f"{', '.join(left_out)} not compared: no tail of a tenth, as where all pictures are alike"
    return Figured([known.share(measures.quality(name)) for name in there], {"SL407": note} if left_out else {})
