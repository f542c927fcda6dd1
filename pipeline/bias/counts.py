"""Counts by cell and outcome: all that the statistics need of a dataset of any size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from secondlook.pipeline.bias.grouping import Codes, Grouping
from secondlook.pipeline.core.groups import Group


@dataclass(frozen=True)
class Copies:
    """Pictures that are copies of one another, which are no independent ones: R rows, a row a picture.

    cluster, cell, outcome: (R,) which copies, place in Counts.cells, place in Counts.outcomes. They are counted in Counts.n too.
    """

    cluster: Codes
    cell: Codes
    outcome: Codes


@dataclass(frozen=True)
class Counts:
    """How many pictures of each of C cells (a combination of values of all attributes) had each of M outcomes.

    cells: (C, A) places in `grouping.values`. n: (C, M). Everything that is said of groups is a sum over cells.
    """

    grouping: Grouping
    cells: Codes
    outcomes: tuple[str, ...]
    n: Codes
    copies: Copies | None = None

    def membership(self, groups: Sequence[Group]) -> "sp.csr_array":
        """(G, C) 1 where a cell belongs to a group."""
        place = {name: at for at, name in enumerate(self.grouping.attributes)}
        rows = np.ones((len(groups), len(self.cells)), bool)
        for row, group in enumerate(groups):
            for attribute, value in group.values:
                at = place[attribute]
                rows[row] &= self.cells[:, at] == self.grouping.values[at].index(value)
        return sp.csr_array(rows.astype(np.int64))

    def by_group(self, groups: Sequence[Group]) -> npt.NDArray[np.int64]:
        """(G, M) counts of groups."""
        return np.asarray(self.membership(groups) @ self.n)
