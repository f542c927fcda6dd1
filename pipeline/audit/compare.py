"""Given labels beside probabilities: what the model gives the label, and the best other class. SL101 is built on it."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.errors import UserError

SUM_TOLERANCE = 0.01  # of float16 in 20,000 columns, and of people who rounded to a few digits
UNLABELED = -1
BLOCK_BYTES = 1 << 20  # a block of rows stays in a core's cache while it is summed, compared and searched

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]


class Compared(NamedTuple):
    """n given labels beside the best other class of each row.

    `labeled`: (n,) bool. `p_given`: (n,) float32, the given label's probability, 0 without a label. `other`: (n,) int32,
    the most probable class that is not the given one. `p_other`: (n,) float32, its probability.
    """

    labeled: npt.NDArray[np.bool_]
    p_given: npt.NDArray[np.float32]
    other: npt.NDArray[np.int32]
    p_other: npt.NDArray[np.float32]

    @property
    def ahead(self) -> npt.NDArray[np.float32]:
        """(n,) p_other - p_given, -1 to 1: above 0 where the model prefers another class."""
        return self.p_other - self.p_given


def compare(given: Ints, probs: Floats, *, first_row: int = 0) -> Compared:
    """Each given label beside the best other class, from full rows.

    `given`: (n,) class indices, -1 = no label. `probs`: (n, K), of any float type and memory order, out of sample, rows
    sum to 1. `first_row` is added to the row that a message names. Arithmetic is in float32, a block of rows at a time.
    Raises UserError for shapes that don't fit, labels out of range, and rows that are no probabilities.
    """
    given, probs = np.asarray(given), np.asarray(probs)
    _check_shapes(given, probs)
    n, n_classes = probs.shape
    _check_given(given, n_classes, first_row)
    result = Compared(given >= 0, np.empty(n, np.float32), np.empty(n, np.int32), np.empty(n, np.float32))
    step = block_rows(n_classes, BLOCK_BYTES)
    work = np.empty((min(step, n), n_classes), np.float32)
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        block = work[: part.stop - start]
        with np.errstate(over="ignore"):  # what float32 can't hold is infinite, and refused as such
            np.copyto(block, probs[part], casting="same_kind")
        _check_rows(block, first_row + start)
        result.p_given[part] = _strike_out(given[part], block)
        other = block.argmax(axis=1)
        result.other[part] = other
        result.p_other[part] = block[np.arange(len(block)), other]
    return result


def compare_topk(
    given: Ints,
    classes: Ints,
    probs: Floats,
    n_classes: int,
    p_given: Floats | None = None,
    *,
    first_row: int = 0,
) -> Compared:
    """The same from each row's k most probable classes.

    `classes`: (n, k) class indices in any order, -1 where a row has fewer than k. `probs`: (n, k), their probabilities.
    `p_given`: (n,), the given label's probability; where a row's list names the label, the list counts. Without
    `p_given`, a label outside the list gets an upper bound: its even share of what the list leaves, at most the
    smallest probability in the list. Raises UserError as `compare` does.
    """
    given, classes, probs = np.asarray(given), np.asarray(classes), np.asarray(probs)
    _check_shapes(given, probs)
    _check_given(given, n_classes, first_row)
    _check_lists(classes, probs, n_classes, first_row)
    with np.errstate(over="ignore"):
        work = np.array(probs, dtype=np.float32, order="C")
    work[classes < 0] = 0.0
    _check_rows(work, first_row, complete=False)
    labeled = given >= 0
    at = (classes == given[:, None]) & labeled[:, None]
    inside, listed = at.any(axis=1), (work * at).sum(axis=1)
    if p_given is None:
        elsewhere = _bound(classes, work, n_classes)
    else:
        elsewhere = _checked_p_given(np.asarray(p_given), given, listed, inside, first_row)
    work[at | (classes < 0)] = -1.0
    rows, best = np.arange(len(given)), work.argmax(axis=1)
    known = np.where(labeled, np.where(inside, listed, elsewhere), 0.0).astype(np.float32)
    return Compared(labeled, known, classes[rows, best].astype(np.int32), work[rows, best])


def block_rows(n_columns: int, n_bytes: int, itemsize: int = 4) -> int:
    """How many rows of so many columns fit into so many bytes; at least one."""
    return max(1, n_bytes // (itemsize * max(n_columns, 1)))


def _strike_out(given: Ints, work: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The given labels' probabilities, 0 without a label; in `work` they give way to -1, so that the best other wins."""
    rows = np.arange(len(given)) if (given >= 0).all() else np.flatnonzero(given >= 0)
    p_given = np.zeros(len(given), np.float32)
    p_given[rows] = work[rows, given[rows]]
    work[rows, given[rows]] = -1.0
    return p_given


def _check_shapes(given: Ints, probs: Floats) -> None:
    if probs.ndim != 2 or given.ndim != 1:
        raise UserError(f"labels are (n,) and probabilities (n, K); got shapes {given.shape} and {probs.shape}")
    if len(given) != len(probs):
        raise UserError(f"labels and probabilities go row by row; got {len(given)} labels and {len(probs)} rows")
    if probs.shape[1] < 2:
        raise UserError(f"to compare, every row needs probabilities of at least 2 classes; got {probs.shape[1]}")
    if given.dtype.kind not in "iu" or probs.dtype.kind != "f":
        raise UserError(f"labels are class indices and probabilities floats; got {given.dtype} and {probs.dtype}")


def _check_given(given: Ints, n_classes: int, first_row: int) -> None:
    if len(given) and not (given.min() >= UNLABELED and given.max() < n_classes):
        row = int(np.flatnonzero((given < UNLABELED) | (given >= n_classes))[0])
        raise UserError(
            f"row {first_row + row} has label {given[row]}; allowed are 0 to {n_classes - 1}, and -1 for no label"
        )


def _check_rows(block: npt.NDArray[np.float32], first_row: int, *, complete: bool = True) -> None:
    """Refuse rows with NaN, infinite or negative values, or with a sum that isn't 1 (or, of lists, above 1)."""
    if not len(block):
        return
    with np.errstate(invalid="ignore", over="ignore"):
        sums = block.sum(axis=1)
        fit = np.abs(sums - 1) <= SUM_TOLERANCE if complete else sums <= 1 + SUM_TOLERANCE
        if fit.all() and block.min() >= 0:
            return
        bad = int(np.flatnonzero(~fit | ~(block.min(axis=1) >= 0))[0])
    raise UserError(f"row {first_row + bad} of the probabilities {_complaint(block[bad], complete)}")


def _complaint(row: npt.NDArray[np.float32], complete: bool) -> str:
    if not np.isfinite(row).all():
        column = int(np.flatnonzero(~np.isfinite(row))[0])
        return f"has {row[column]} in column {column}; only finite numbers are allowed"
    if row.min() < 0:
        return f"has {row.min():g} in column {int(row.argmin())}; allowed are 0 to 1 (are these logits? apply softmax)"
    allowed = "sum to 1" if complete else "sum to at most 1"
    return f"sums to {row.sum(dtype=np.float64):.4g}; rows must {allowed} (within {SUM_TOLERANCE:g})"


def _check_lists(classes: Ints, probs: Floats, n_classes: int, first_row: int) -> None:
    if classes.shape != probs.shape or classes.dtype.kind not in "iu":
        raise UserError(
            f"lists of classes are indices, as many as probabilities; got {classes.dtype} {classes.shape} and {probs.shape}"
        )
    wrong = (classes < -1) | (classes >= n_classes)
    if wrong.any():
        row = int(np.flatnonzero(wrong.any(axis=1))[0])
        raise UserError(
            f"row {first_row + row} lists class {classes[row][wrong[row]][0]}; allowed are 0 to {n_classes - 1}"
        )
    ordered = np.sort(classes, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if twice.any():
        raise UserError(f"row {first_row + int(np.flatnonzero(twice)[0])} lists a class twice")
    few = (classes >= 0).sum(axis=1) < min(2, n_classes)
    if few.any():
        raise UserError(f"row {first_row + int(np.flatnonzero(few)[0])} lists fewer than 2 classes: nothing to compare")


def _bound(classes: Ints, work: npt.NDArray[np.float32], n_classes: int) -> Floats:
    """The most that a class outside its row's list is given: an even share of the rest, at most the smallest listed."""
    listed = classes >= 0
    share = np.maximum(1 - work.sum(axis=1), 0) / np.maximum(n_classes - listed.sum(axis=1), 1)
    return np.minimum(share, np.where(listed, work, np.inf).min(axis=1))  # type: ignore[no-any-return]


def _checked_p_given(
    p_given: Floats, given: Ints, known: Floats, inside: npt.NDArray[np.bool_], first_row: int
) -> Floats:
    if p_given.shape != given.shape:
        raise UserError(f"the given labels' probabilities are one a row; got {p_given.shape} for {len(given)} labels")
    labeled = given >= 0
    value = np.where(labeled, p_given, 0.0)
    outside_range = ~((value >= 0) & (value <= 1 + SUM_TOLERANCE))
    if outside_range.any():
        row = int(np.flatnonzero(outside_range)[0])
        raise UserError(f"row {first_row + row} gives its label the probability {value[row]}; allowed are 0 to 1")
    differs = inside & (np.abs(value - known) > SUM_TOLERANCE)
    if differs.any():
        row = int(np.flatnonzero(differs)[0])
        raise UserError(
            f"row {first_row + row} gives its label the probability {value[row]:.4g}, but its list says {known[row]:.4g};"
            " are labels and probabilities in the same order?"
        )
    return value
