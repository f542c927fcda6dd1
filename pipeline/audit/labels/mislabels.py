"""SL101 as a function of arrays: how sure a model, out of sample, is that a given label is wrong.

The score compares the best other class with the given label and nothing else, as the normalized margin does that held up
best in Kuan and Mueller (2022), "Model-agnostic label quality scoring to detect real-world label errors"; but as odds,
which rank better on our cases. Above which margin a label is flagged is chosen from the data, without truth: see flags.py.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.audit.labels.compare import UNLABELED, Compared, Floats, Ints, compare, compare_topk
from secondlook.pipeline.audit.labels.flags import MARGIN, chosen_margin, tally
from secondlook.pipeline.core.errors import UserError

__all__ = [
    "MARGIN",
    "UNLABELED",
    "Floats",
    "Ints",
    "LabelErrors",
    "checked_margin",
    "decide",
    "label_errors",
    "label_errors_topk",
]


class LabelErrors(NamedTuple):
    """What is doubted about n labels, row by row.

    `p_error`: (n,) float32, 0 to 1, 0.5 where given label and best other class tie, nan without a label. A score for
    ranking: it becomes a probability only where it is calibrated against labels that people checked.
    `suggested`: (n,) int32, the most probable class; the given one where no other is more probable and it isn't flagged.
    `flagged`: (n,) bool. `margin`: what (p_other - p_given) / (p_other + p_given), which is 2 p_error - 1, had to exceed for
    a flag. `basis`: where that margin comes from, in words.
    """

    p_error: npt.NDArray[np.float32]
    suggested: npt.NDArray[np.int32]
    flagged: npt.NDArray[np.bool_]
    margin: float
    basis: str


def label_errors(given: Ints, probs: Floats, margin: float | None = None, *, first_row: int = 0) -> LabelErrors:
    """Doubt every label: p_error = p_other / (p_other + p_given), flagged where 2 p_error - 1 > margin.

    `margin`: -1 to 1; None: chosen from these labels and probabilities, without truth. For data in several parts, sum
    the tallies of the parts (`flags.tally_dense`), choose once, and give that margin to each part.
    Other arguments and errors as in `compare`.

    >>> label_errors(np.array([0, 0, -1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.2, 0.8]]))[2].tolist()
    [False, True, False]
    """
    checked = checked_margin(margin)
    compared = compare(given, probs, first_row=first_row)
    return _decided(given, compared, np.asarray(probs).shape[1], checked)


def label_errors_topk(
    given: Ints,
    classes: Ints,
    probs: Floats,
    n_classes: int,
    p_given: Floats | None = None,
    margin: float | None = None,
    *,
    first_row: int = 0,
) -> LabelErrors:
    """The same from each row's k most probable classes; arguments as in `compare_topk`.

    >>> label_errors_topk(np.array([2]), np.array([[0, 1]]), np.array([[0.6, 0.3]]), n_classes=4).p_error.round(3)
    array([0.923], dtype=float32)
    """
    checked = checked_margin(margin)
    compared = compare_topk(given, classes, probs, n_classes, p_given, first_row=first_row)
    return _decided(given, compared, n_classes, checked)


def checked_margin(margin: float | None) -> float | None:
    """The margin; raises UserError where it lies outside of -1 to 1."""
    if margin is not None and not -1 <= margin <= 1:
        raise UserError(f"margin takes from -1 to 1, got {margin:g}")
    return margin


def _decided(given: Ints, compared: Compared, n_classes: int, margin: float | None) -> LabelErrors:
    if margin is not None:
        return decide(given, compared, margin, "given")
    choice = chosen_margin(tally(compared, n_classes))
    return decide(given, compared, choice.margin, choice.basis)


def p_error_of(compared: Compared) -> npt.NDArray[np.float32]:
    """(n,) p_other / (p_other + p_given), nan without a label."""
    p_error = np.clip((np.float32(1) + compared.ahead) / np.float32(2), 0, 1)
    p_error[~compared.labeled] = np.nan
    return p_error


def decide(given: Ints, compared: Compared, margin: float, basis: str) -> LabelErrors:
    """Flags, scores and suggestions of labels that were compared, by a margin."""
    ahead = compared.ahead
    flagged = compared.labeled & (ahead > np.float32(margin))
    suggested = np.where(~compared.labeled | (ahead > 0) | flagged, compared.other, given).astype(np.int32)
    return LabelErrors(p_error_of(compared), suggested, flagged, margin, basis)
