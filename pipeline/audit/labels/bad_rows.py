"""Labels and probabilities that can't be used, each refused in a sentence that names the row."""

from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.errors import UserError

SUM_TOLERANCE = 0.01  # of float16 in 20,000 columns, and of people who rounded to a few digits
DROPPED = 0.1  # of people who leave small probabilities out of their lists
UNLABELED = -1
NO_TABLE = "probabilities are a table of numbers, (n, K); got rows of other things or of unequal length"

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]


class RowError(UserError):
    """Row number `row` can't be used, and why: `what` follows the name of whatever the row is of."""

    def __init__(self, row: int, what: str, part: str = "") -> None:
        super().__init__(f"row {row}{part} {what}")
        self.row, self.what = row, what


def as_table(probs: Any) -> Floats:
    """Probabilities as an array; raises UserError where rows are of unequal length."""
    try:
        return np.asarray(probs)
    except (TypeError, ValueError):
        raise UserError(NO_TABLE) from None


def check_shapes(given: Ints, probs: Floats) -> None:
    """Refuse what is not labels (n,) of integers and probabilities (n, K) of floats, K at least 2."""
    if probs.ndim != 2 or given.ndim != 1:
        raise UserError(f"labels are (n,) and probabilities (n, K); got shapes {given.shape} and {probs.shape}")
    if len(given) != len(probs):
        raise UserError(f"labels and probabilities go row by row; got {len(given)} labels and {len(probs)} rows")
    if probs.shape[1] < 2:
        raise UserError(f"to compare, every row needs probabilities of at least 2 classes; got {probs.shape[1]}")
    if given.dtype.kind not in "iu" or probs.dtype.kind != "f":
        names = " (label_issues takes names, and labels that are missing)" if given.dtype.kind not in "iu" else ""
        raise UserError(
            f"labels are class indices and probabilities floats; got {given.dtype} and {probs.dtype}{names}"
        )


def check_given(given: Ints, n_classes: int, first_row: int) -> None:
    """Refuse labels (n,) that are no class and not -1."""
    if len(given) and not (given.min() >= UNLABELED and given.max() < n_classes):
        row = int(np.flatnonzero((given < UNLABELED) | (given >= n_classes))[0])
        raise RowError(
            first_row + row, f"has label {given[row]}; allowed are 0 to {n_classes - 1}, and -1 for no label"
        )


def check_rows(block: npt.NDArray[np.float32], first_row: int, *, complete: bool = True) -> None:
    """Refuse rows with NaN, infinite or negative values, or with a sum that isn't 1 (or, of lists, above 1)."""
    if not len(block):
        return
    with np.errstate(invalid="ignore", over="ignore"):
        sums = block.sum(axis=1)
        fit = np.abs(sums - 1) <= SUM_TOLERANCE if complete else sums <= 1 + SUM_TOLERANCE
        if fit.all() and block.min() >= 0:
            return
        bad = int(np.flatnonzero(~fit | ~(block.min(axis=1) >= 0))[0])
    raise RowError(first_row + bad, _complaint(block[bad], complete), " of the probabilities")


def _complaint(row: npt.NDArray[np.float32], complete: bool) -> str:
    if not np.isfinite(row).all():
        column = int(np.flatnonzero(~np.isfinite(row))[0])
        return f"has {row[column]} in column {column}; only finite numbers are allowed"
    if row.min() < 0:
        hint = "are these logits? apply softmax" if row.min() < -SUM_TOLERANCE else "rounding? set it to 0"
        return f"has {row.min():g} in column {int(row.argmin())}; allowed are 0 to 1 ({hint})"
    total = row.sum(dtype=np.float64)
    allowed = "sum to 1" if complete else "sum to at most 1"
    hint = "; are these percentages?" if abs(total - 100) <= 100 * SUM_TOLERANCE else ""
    return f"sums to {total:.4g}; rows must {allowed} (within {SUM_TOLERANCE:g}){hint}"


def check_lists(classes: Ints, probs: Floats, n_classes: int, first_row: int) -> None:
    """Refuse lists (n, k) with something that is no class, with a class twice, or with fewer than 2."""
    if classes.shape != probs.shape or classes.dtype.kind not in "iu":
        raise UserError(
            f"lists of classes are indices, as many as probabilities; got {classes.dtype} {classes.shape} and {probs.shape}"
        )
    wrong = (classes < -1) | (classes >= n_classes)
    if wrong.any():
        row = int(np.flatnonzero(wrong.any(axis=1))[0])
        raise RowError(first_row + row, f"lists class {classes[row][wrong[row]][0]}; allowed are 0 to {n_classes - 1}")
    ordered = np.sort(classes, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if twice.any():
        raise RowError(first_row + int(np.flatnonzero(twice)[0]), "lists a class twice")
    few = (classes >= 0).sum(axis=1) < 2
    if few.any():
        raise RowError(first_row + int(np.flatnonzero(few)[0]), "lists fewer than 2 classes: nothing to compare")


def check_left(left: Floats, smallest: Floats, elsewhere: Ints, first_row: int) -> None:
    """Refuse lists that leave too much for the classes that they leave out, `elsewhere` (n,) in number.

    None of these may be more probable than the `smallest` (n,) of those that are named; `left` (n,) is what the list leaves of 1.
    """
    short = left > smallest * elsewhere + np.where(elsewhere > 0, DROPPED, SUM_TOLERANCE)
    if short.any():
        row = int(np.flatnonzero(short)[0])
        raise RowError(
            first_row + row,
            f"lists probabilities of {1 - left[row]:.4g} together, the smallest {smallest[row]:.4g}, and leaves"
            f" {elsewhere[row]} classes out: a list names the most probable ones, and all sum to 1",
        )


def check_p_given(p_given: Floats, labeled: npt.NDArray[np.bool_], first_row: int) -> Floats:
    """The given labels' probabilities (n,), 0 without a label; refuses what is none."""
    if p_given.shape != labeled.shape or p_given.dtype.kind not in "fiu":
        raise UserError(
            f"the given labels' probabilities are one number a row; got {p_given.dtype} {p_given.shape} for {len(labeled)} labels"
        )
    value = np.where(labeled, p_given, 0.0)
    outside_range = ~((value >= 0) & (value <= 1 + SUM_TOLERANCE))
    if outside_range.any():
        row = int(np.flatnonzero(outside_range)[0])
        raise RowError(first_row + row, f"gives its label the probability {value[row]}; allowed are 0 to 1")
    return value


def check_told(told: Floats, listed: Floats, most: Floats, first_row: int) -> None:
    """Refuse given labels' probabilities `told` (n,) that contradict the lists.

    `listed` (n,) is what the lists say of them, nan where they leave them out; then it can't be above `most` (n,): what
    a list leaves, and the least that it names.
    """
    inside = ~np.isnan(listed)
    wrong = np.where(inside, np.abs(told - listed), told - most) > SUM_TOLERANCE
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        says = f"says {listed[row]:.4g}" if inside[row] else f"leaves it out, and at most {most[row]:.4g}"
        raise RowError(
            first_row + row,
            f"gives its label the probability {told[row]:.4g}, but its list {says};"
            " are labels and probabilities in the same order?",
        )
