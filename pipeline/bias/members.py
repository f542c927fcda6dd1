"""Which cells belong to which group, for all groups at once, of those that have a picture."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from secondlook.pipeline.bias.grouping import Codes, Grouping
from secondlook.pipeline.core.groups import Group


@dataclass(frozen=True)
class Members:
    """G groups of C cells, those of one attribute first, in the order of `Grouping.groups`.

    matrix: (G, C) 1 where a cell belongs to a group. crossed: attributes by their places, a tuple for each kind of group.
    kind: (G,) place in `crossed`. code: (G,) its values in mixed radix.
    """

    grouping: Grouping
    matrix: "sp.csr_array"
    crossed: tuple[tuple[int, ...], ...]
    kind: Codes
    code: Codes

    def take(self, rows: npt.ArrayLike) -> "Members":
        """Some of the groups."""
        at = np.asarray(rows)
        return Members(self.grouping, self.matrix[at], self.crossed, self.kind[at], self.code[at])

    def groups(self) -> list[Group]:
        """The groups by name."""
        return [self._group(self.crossed[kind], code) for kind, code in zip(self.kind, self.code.tolist(), strict=True)]

    def _group(self, crossed: tuple[int, ...], code: int) -> Group:
        values = []
        for at in reversed(crossed):
            code, place = divmod(code, len(self.grouping.values[at]))
            values.append((self.grouping.attributes[at], self.grouping.values[at][place]))
        return Group(tuple(reversed(values)))


def members(grouping: Grouping, cells: Codes, depth: int) -> Members:
    """All groups of at most `depth` attributes that have one of the cells (C, A), places in `grouping.values`."""
    count = len(grouping.attributes)
    crossed = tuple(one for size in range(1, min(depth, count) + 1) for one in combinations(range(count), size))
    codes: list[Codes] = []
    kinds: list[Codes] = []
    rows: list[Codes] = []
    known = 0
    for kind, chosen in enumerate(crossed):
        code: Codes = np.zeros(len(cells), np.int64)
        for at in chosen:
            code = code * len(grouping.values[at]) + cells[:, at]
        there, row = np.unique(code, return_inverse=True)
        codes.append(there)
        kinds.append(np.full(len(there), kind))
        rows.append(row.reshape(-1) + known)
        known += len(there)
    columns = np.tile(np.arange(len(cells)), len(crossed))
    nothing: Codes = np.zeros(0, np.int64)
    all_rows = np.concatenate([nothing, *rows])
    matrix = sp.csr_array((np.ones(len(all_rows), np.int64), (all_rows, columns)), shape=(known, len(cells)))
    return Members(grouping, matrix, crossed, np.concatenate([nothing, *kinds]), np.concatenate([nothing, *codes]))
