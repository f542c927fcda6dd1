"""SL101, SL102: what out-of-sample probabilities say of given labels, told of each sample."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.audit.ambiguity import ambiguity
from secondlook.pipeline.audit.mislabels import UNLABELED, label_errors_topk
from secondlook.pipeline.core.rules import Finding


@dataclass(frozen=True)
class Judged:
    """n labeled samples and what the model says of their contents.

    `given` (n,): index of the label in `names`, -1 where the model does not know the label. `classes`, `probs` (n, k):
    the most probable classes, -1 where a row has fewer than k.
    """

    sample_id: Sequence[str]
    key: Sequence[str]
    split: Sequence[str]
    given: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int32]
    probs: npt.NDArray[np.float32]
    names: Sequence[str]


def doubts(judged: Judged, *, margin: float, ambiguous_margin: float, ambiguous_mass: float) -> Iterator[Finding]:
    """SL101 where another class is more probable by `margin`; else SL102 where two classes are too close to call."""
    n, names = len(judged.given), judged.names
    if not n or judged.probs.shape[1] < 2:
        return
    errors = label_errors_topk(judged.given, judged.classes, judged.probs, len(names), margin=margin)
    unsure = ambiguity(np.where(judged.classes >= 0, judged.probs, -1.0), ambiguous_margin, ambiguous_mass)
    known = judged.given != UNLABELED
    for row in np.flatnonzero(errors.flagged).tolist():
        given, likely = names[judged.given[row]], names[errors.suggested[row]]
        score = float(errors.p_error[row])
        p_suggested = float(judged.probs[row][judged.classes[row] == errors.suggested[row]].sum())
        evidence = {
            "given": given,
            "suggested": likely,
            "p_given": _short(p_suggested - (2 * score - 1)),
            "p_suggested": _short(p_suggested),
            "p_error": _short(score),
        }
        yield _finding("SL101", judged, row, score, f"labeled {given}, likely {likely} (score {score:.2f})", evidence)
    for row in np.flatnonzero(unsure.flagged & known & ~errors.flagged).tolist():
        first, second = (names[judged.classes[row, column[row]]] for column in (unsure.first, unsure.second))
        p_first, p_second = float(unsure.p_first[row]), float(unsure.p_second[row])
        message = f"labeled {names[judged.given[row]]}, between {first} ({p_first:.2f}) and {second} ({p_second:.2f})"
        evidence = {"first": first, "second": second, "p_first": _short(p_first), "p_second": _short(p_second)}
        yield _finding("SL102", judged, row, 1 - (p_first - p_second), message, evidence)


def _short(p: float) -> float:
    """A probability as evidence shows it: float32 is good for six digits."""
    return round(min(max(p, 0.0), 1.0), 6)


def _finding(rule: str, judged: Judged, row: int, score: float, message: str, evidence: dict[str, Any]) -> Finding:
    return Finding(rule, "sample", judged.sample_id[row], judged.key[row], score, message, judged.split[row], evidence)
