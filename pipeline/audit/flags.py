"""The margin of SL101, chosen from the data without truth."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.audit.compare import Compared, Floats, Ints, compare, compare_topk

MARGIN = 0.10  # where there are too few labels to choose by
EDGES = (np.arange(-1000, 1001) / 1000).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Tally:
    """Integer sums over labeled rows, from which the margin is chosen: parts add up to the whole, in any order, exactly.

    `n_classes`: K, the same in all parts. `margins`: int64 counts of p_other - p_given by bin.
    """

    n_classes: int
    margins: npt.NDArray[np.int64]

    def __add__(self, other: "Tally") -> "Tally":
        if self.n_classes != other.n_classes:
            raise ValueError(f"tallies of {self.n_classes} and {other.n_classes} classes don't add up")
        return Tally(self.n_classes, self.margins + other.margins)

    def to_bytes(self) -> bytes:
        """The tally as bytes that travel between processes."""
        return np.concatenate([[self.n_classes], self.margins]).astype("<i8").tobytes()

    @staticmethod
    def from_bytes(data: bytes) -> "Tally":
        """The tally that `to_bytes` wrote."""
        flat = np.frombuffer(data, "<i8").astype(np.int64)
        return Tally(int(flat[0]), flat[1:])


class Choice(NamedTuple):
    """A margin and, in words, where it comes from."""

    margin: float
    basis: str


def empty(n_classes: int) -> Tally:
    """The tally of no rows: where a sum starts."""
    return Tally(n_classes, np.zeros(len(EDGES) + 1, np.int64))


def tally(compared: Compared, n_classes: int) -> Tally:
    """The tally of rows that were compared; rows without a label don't count."""
    ahead = compared.ahead[compared.labeled]
    return Tally(n_classes, np.bincount(np.searchsorted(EDGES, ahead), minlength=len(EDGES) + 1).astype(np.int64))


def tally_dense(given: Ints, probs: Floats, *, first_row: int = 0) -> Tally:
    """The tally of full rows; arguments and errors as in `compare`."""
    return tally(compare(given, probs, first_row=first_row), np.asarray(probs).shape[1])


def tally_topk(
    given: Ints, classes: Ints, probs: Floats, n_classes: int, p_given: Floats | None = None, *, first_row: int = 0
) -> Tally:
    """The tally of rows' most probable classes; arguments and errors as in `compare_topk`."""
    return tally(compare_topk(given, classes, probs, n_classes, p_given, first_row=first_row), n_classes)


def chosen_margin(sums: Tally) -> Choice:
    """The margin above which SL101 flags, without truth."""
    return Choice(MARGIN, f"the default of {MARGIN:.2f}")


def estimated_share(sums: Tally) -> float:
    """The model's estimate of the share of labels that are wrong, 0 to 1; nan without labels. No audit answer is in it."""
    n = int(sums.margins.sum())
    return float(sums.margins[np.searchsorted(EDGES, np.float32(MARGIN)) + 1 :].sum() / n) if n else float("nan")
