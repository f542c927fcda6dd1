"""SL101, SL102: what a model and all other evidence say of given labels, told of each sample.

Two passes: `tallied` sums what the margin is chosen by, over any parts of the data; `doubts` then decides row by row. So
a label is flagged or not whatever the part that it came in.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.audit.labels.ambiguity import ambiguity
from secondlook.pipeline.audit.labels.calibrated import Calibrator
from secondlook.pipeline.audit.labels.compare import Compared, compare_topk
from secondlook.pipeline.audit.labels.evidence import KINDS, spoke
from secondlook.pipeline.audit.labels.flags import Tally, empty, tally
from secondlook.pipeline.audit.labels.mislabels import LabelErrors, decide, p_error_of
from secondlook.pipeline.core.rules import Finding

Reals = npt.NDArray[np.float64]

PREDICTIONS = "predictions"  # who spoke where there is no other evidence


@dataclass(frozen=True)
class Judged:
    """n labeled samples and what the model says of their contents.

    `given` (n,): index of the label in `names`, -1 where the model does not know the label. `classes`, `probs` (n, k):
    the most probable classes, -1 where a row has fewer than k. `evidence`: each of evidence.KINDS that is there, (n,),
    and `p_error` (n,), what combines them; nan where nothing is known of the label that holds now.
    """

    sample_id: Sequence[str]
    key: Sequence[str]
    split: Sequence[str]
    given: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int32]
    probs: npt.NDArray[np.float32]
    names: Sequence[str]
    p_error: Reals | None = None
    evidence: Mapping[str, Reals] = field(default_factory=dict)


class Scored(NamedTuple):
    """Labels beside the best other class: by the model's predictions alone, and by all evidence where it holds."""

    by_model: Compared
    by_all: Compared


class Decision(NamedTuple):
    """How labels are decided on: the margins of the rules, and what makes a score a probability, if anything does."""

    margin: float
    basis: str
    ambiguous_margin: float
    ambiguous_mass: float
    calibrator: Calibrator | None = None


def scored(judged: Judged) -> Scored:
    """The comparison that SL101 is decided by: where evidence holds, its p_error divides what the model gives to the two classes."""
    by_model = compare_topk(judged.given, judged.classes, judged.probs, len(judged.names))
    if judged.p_error is None:
        return Scored(by_model, by_model)
    holds = ~np.isnan(judged.p_error)
    both = by_model.p_given.astype(np.float64) + by_model.p_other
    p_given = np.where(holds, (1 - judged.p_error) * both, by_model.p_given).astype(np.float32)
    p_other = np.where(holds, judged.p_error * both, by_model.p_other).astype(np.float32)
    return Scored(by_model, by_model._replace(p_given=p_given, p_other=p_other))


def tallied(judged: Judged) -> Tally:
    """What these labels add to the choice of the margin."""
    if not len(judged.given):
        return empty(len(judged.names))
    return tally(scored(judged).by_all, len(judged.names))


def score(judged: Judged) -> npt.NDArray[np.float32]:
    """(n,) what SL101 compares with the margin, 0 to 1; nan where the model does not know the label."""
    if not len(judged.given):
        return np.empty(0, np.float32)
    return p_error_of(scored(judged).by_all)


def doubts(judged: Judged, decision: Decision) -> Iterator[Finding]:
    """SL101 where the score is above the margin; else SL102 where two classes are too close to call."""
    if not len(judged.given):
        return
    both = scored(judged)
    errors = decide(judged.given, both.by_all, decision.margin, decision.basis)
    yield from _mislabeled(judged, both.by_model, errors, decision.calibrator)
    yield from _ambiguous(judged, errors.flagged, decision)


def _mislabeled(
    judged: Judged, by_model: Compared, errors: LabelErrors, calibrator: Calibrator | None
) -> Iterator[Finding]:
    rows = np.flatnonzero(errors.flagged)
    scores = errors.p_error[rows].astype(np.float64)
    p_errors, kind = (scores, "score") if calibrator is None else (calibrator(scores), "probability")
    for row, score, p_error in zip(rows.tolist(), scores.tolist(), p_errors.tolist(), strict=True):
        given, likely = judged.names[judged.given[row]], judged.names[errors.suggested[row]]
        against, supporting = _speakers(judged, row, score)
        evidence = {
            "given": given,
            "suggested": likely,
            "p_given": _short(by_model.p_given[row]),
            "p_suggested": _short(by_model.p_other[row]),
            "p_error": _short(p_error),
            "p_error_is": kind,
            "score": _short(score),
            "against": against,
            "supporting": supporting,
        }
        told = "" if PREDICTIONS in against else _told(against, supporting)
        message = f"labeled {given}, likely {likely} ({kind} {p_error:.2f}{told})"
        yield _finding("SL101", judged, row, score, message, evidence)


def _speakers(judged: Judged, row: int, score: float) -> tuple[dict[str, float], dict[str, float]]:
    """Kinds of evidence with their scores: those against the label, and those that support it."""
    if judged.p_error is None or np.isnan(judged.p_error[row]):
        return {PREDICTIONS: _short(score)}, {}
    said = {name: float(judged.evidence[name][row]) for name in KINDS if name in judged.evidence}
    spoken = spoke(said)
    against, supporting = ({name: _short(said[name]) for name in names} for names in spoken)
    return against, supporting


def _told(against: Mapping[str, float], supporting: Mapping[str, float]) -> str:
    parts = [f"; {word} {', '.join(names)}" for word, names in (("by", against), ("not", supporting)) if names]
    return "".join(parts)


def _ambiguous(judged: Judged, flagged: npt.NDArray[np.bool_], decision: Decision) -> Iterator[Finding]:
    unsure = ambiguity(
        np.where(judged.classes >= 0, judged.probs, -1.0), decision.ambiguous_margin, decision.ambiguous_mass
    )
    for row in np.flatnonzero(unsure.flagged & (judged.given >= 0) & ~flagged).tolist():
        first, second = (judged.names[judged.classes[row, column[row]]] for column in (unsure.first, unsure.second))
        p_first, p_second = float(unsure.p_first[row]), float(unsure.p_second[row])
        given = judged.names[judged.given[row]]
        message = f"labeled {given}, between {first} ({p_first:.2f}) and {second} ({p_second:.2f})"
        evidence = {"first": first, "second": second, "p_first": _short(p_first), "p_second": _short(p_second)}
        yield _finding("SL102", judged, row, 1 - (p_first - p_second), message, evidence)


def _short(p: float) -> float:
    """A probability as evidence shows it: float32 is good for six digits."""
    return round(min(max(float(p), 0.0), 1.0), 6)


def _finding(rule: str, judged: Judged, row: int, score: float, message: str, evidence: dict[str, Any]) -> Finding:
    return Finding(rule, "sample", judged.sample_id[row], judged.key[row], score, message, judged.split[row], evidence)
