"""Which groups there are: values of attributes, and what crossing them makes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.bias.binning import Bins
from secondlook.pipeline.core.groups import Group

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grouping:
    """A attributes, each with its values in order, the last of which may be NOT_SAID.

    `estimated`: attributes that a model estimated, by the validation that was given: true value → estimated value → n.
    `bins`: attributes that are numbers, whose values are the names of bins. `notes`: what was left out, and why.
    `left_out`: attributes that pictures have, and that are not compared.
    """

    attributes: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    estimated: Mapping[str, Mapping[str, Mapping[str, int]]]
    bins: Mapping[str, Bins] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many cells crossing all attributes could make; beyond 2^63 codes do not hold them."""
        return math.prod(len(its) for its in self.values)

    def split(self, codes: npt.ArrayLike) -> Codes:
        """Places in `values`, (C, A), of cells by their codes (C,): mixed radix, the last attribute fastest."""
        left = np.asarray(codes, np.int64)
        places = np.zeros((len(left), len(self.attributes)), np.int64)
        for column in range(len(self.attributes) - 1, -1, -1):
            left, places[:, column] = np.divmod(left, len(self.values[column]))
        return places

    def join(self, places: npt.ArrayLike) -> Codes:
        """Codes (C,) of cells by their places (C, A)."""
        codes = np.zeros(len(np.asarray(places)), np.int64)
        for column, its in zip(np.asarray(places, np.int64).T, self.values, strict=True):
            codes = codes * len(its) + column
        return codes

    def groups(self, depth: int) -> list[Group]:
        """All groups of at most so many attributes, those of one attribute first."""
        found: list[Group] = []
        for crossed in range(1, min(depth, len(self.attributes)) + 1):
            for chosen in combinations(range(len(self.attributes)), crossed):
                found += [Group(values) for values in _crossed([self._named(at) for at in chosen])]
        return found

    def _named(self, at: int) -> list[tuple[str, str]]:
        return [(self.attributes[at], value) for value in self.values[at]]


def _crossed(named: Sequence[Sequence[tuple[str, str]]]) -> list[tuple[tuple[str, str], ...]]:
    rows: list[tuple[tuple[str, str], ...]] = [()]
    for one in named:
        rows = [(*row, value) for row in rows for value in one]
    return rows
