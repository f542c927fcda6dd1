"""Given labels beside probabilities: what the model gives the label, and the best other class. SL101 is built on it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.audit.labels.bad_rows import (
    UNLABELED,
    Floats,
    Ints,
    as_table,
    check_given,
    check_left,
    check_lists,
    check_p_given,
    check_rows,
    check_shapes,
    check_told,
)
from secondlook.pipeline.core.errors import UserError

__all__ = ["BLOCK_BYTES", "UNLABELED", "Compared", "Floats", "Ints", "block_rows", "compare", "compare_topk"]

BLOCK_BYTES = 1 << 20  # a block of rows stays in a core's cache while it is summed, compared and searched
FIXED_POINT = 2.0**30
NOTHING = np.float32(1e-6)  # the least of a given label: where several have none, the surest other class comes first


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
        """(n,) (p_other - p_given) / (p_other + p_given), -1 to 1: above 0 where the model prefers another class.

        Log odds between the two, in other units. What the model gives to third classes says that it is unsure, not that
        the label is right: on the cases of benchmarks/flags.py this ranks better than the plain difference does.
        """
        return np.asarray(
            (self.p_other - self.p_given) / (self.p_other + np.maximum(self.p_given, NOTHING)), np.float32
        )


def compare(given: Ints, probs: Floats, *, first_row: int = 0) -> Compared:
    """Each given label beside the best other class, from full rows.

    `given`: (n,) class indices, -1 = no label. `probs`: (n, K), of any float type and memory order, out of sample, rows
    sum to 1. `first_row` is added to the row that a message names. Arithmetic is in float32, a block of rows at a time.
    Raises UserError for shapes that don't fit, labels out of range, and rows that are no probabilities.
    """
    given, probs = np.asarray(given), as_table(probs)
    check_shapes(given, probs)
    n, n_classes = probs.shape
    check_given(given, n_classes, first_row)
    result = Compared(given >= 0, np.empty(n, np.float32), np.empty(n, np.int32), np.empty(n, np.float32))
    step = block_rows(n_classes, BLOCK_BYTES)
    work = np.empty((min(step, n), n_classes), np.float32)
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        block = work[: part.stop - start]
        with np.errstate(over="ignore"):  # what float32 can't hold is infinite, and refused as such
            np.copyto(block, probs[part], casting="same_kind")
        check_rows(block, first_row + start)
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
    smallest probability in the list. Raises UserError as `compare` does, and where a list can't be that of the most
    probable classes.
    """
    given, classes, probs = np.asarray(given), np.asarray(classes), as_table(probs)
    check_shapes(given, probs)
    if n_classes < 2:
        raise UserError(f"there are at least 2 classes to compare; got n_classes={n_classes}")
    check_given(given, n_classes, first_row)
    told = None if p_given is None else check_p_given(np.asarray(p_given), given >= 0, first_row)
    check_lists(classes, probs, n_classes, first_row)
    n, k = probs.shape
    result = Compared(given >= 0, np.empty(n, np.float32), np.empty(n, np.int32), np.empty(n, np.float32))
    step = block_rows(k, BLOCK_BYTES)
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        some = None if told is None else told[part]
        block = Compared(result.labeled[part], result.p_given[part], result.other[part], result.p_other[part])
        _compare_lists(given[part], classes[part], probs[part], n_classes, some, first_row + start, block)
    return result


def _compare_lists(
    given: Ints, classes: Ints, probs: Floats, n_classes: int, told: Floats | None, first_row: int, result: Compared
) -> None:
    """Fill a block of `result` by its lists; `told` are the given labels' probabilities, where they are known."""
    with np.errstate(over="ignore"):
        work = np.array(probs, dtype=np.float32, order="C")
    listed = classes >= 0
    work[~listed] = 0.0
    check_rows(work, first_row, complete=False)
    # Summed as integers: no order and no padding of a list changes what it leaves.
    left = np.maximum(1 - np.rint(work * FIXED_POINT).astype(np.int64).sum(axis=1) / FIXED_POINT, 0)
    smallest = np.where(listed, work, np.float32(np.inf)).min(axis=1, initial=np.inf)
    elsewhere = n_classes - listed.sum(axis=1)
    check_left(left, smallest, elsewhere, first_row)
    at = (classes == given[:, None]) & listed
    inside, in_list = at.any(axis=1), (work * at).sum(axis=1)
    if told is None:
        told = np.minimum(left / np.maximum(elsewhere, 1), smallest)
    else:
        check_told(
            told, np.where(inside, in_list, np.nan), np.where(result.labeled, np.minimum(left, smallest), 1), first_row
        )
    result.p_given[:] = np.where(result.labeled, np.where(inside, in_list, told), 0.0)
    work[at | ~listed] = -1.0
    rows, best = np.arange(len(given)), work.argmax(axis=1)
    result.other[:] = classes[rows, best]
    result.p_other[:] = work[rows, best]


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
