"""Which groups a table may show so that no small group's count can be had by subtraction.

A table of groups is a set of sums. All values of an attribute add up to the total; all that cross a group with one more
attribute add up to the group. Who knows a sum and all of its parts but one knows that one too. So it is not enough to leave
out the groups that are too small: of those that are left, some must go as well (complementary suppression; Willenborg and de Waal
2001, "Elements of statistical disclosure control", chapter 6).

We play the reader. All that is shown are known numbers, all that is not are unknown ones, and the sums are equations between
them. Groups go until

1. what is left of any sum, after what is shown of it, is nobody or at least `min_cell` pictures, and
2. no unknown that has from 1 to `min_cell` - 1 pictures has only one solution.

For that the small counts themselves need not be known: the reader does not know them either. Of one attribute, the largest
other value goes along (core/cells.py); of crossed ones the smallest, whose figures say least.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from secondlook.pipeline.core.cells import cells
from secondlook.pipeline.core.groups import NOT_SAID, Group

Cell = tuple[tuple[str, str], ...]  # values of attributes, in the order of their names
REST = "\0rest"  # all values of an attribute that are not shown, as one
MOST_CELLS = 50_000  # of a table of crossed attributes; larger ones are not shown
MOST_UNKNOWNS = 2500  # of one system of equations; beyond, its crossed groups are not shown at all
DETERMINED = 1 - 1e-9
MOST_SOLVED = 1000  # unknowns of a system that is also solved with counts that are not below 0
PROBES = 4


def cell(group: Group) -> Cell:
    """A group by its values, however its attributes are ordered."""
    return tuple(sorted(group.values))


def shown(
    counts: Mapping[Group, int], total: int, min_cell: int, secret: Collection[Group] = frozenset()
) -> set[Group]:
    """The groups of `counts` that may be shown.

    counts: pictures of each group; those below `min_cell` go first, but for groups that nobody is in. total: of all pictures that they are groups of. It depends on
    nothing else, so that two pages on the same pictures show the same groups, as the data card (core/cells.py) does of one attribute.
    secret: groups that are kept back for another reason, and must not be told by subtraction either, however many they are.
    """
    names = {cell(group): group for group in counts}
    table = _Table({cell(group): n for group, n in counts.items()}, total, min_cell, {cell(one) for one in secret})
    table.settle()
    return {names[one] for one in table.known}


class _Table:
    """What is shown so far: `known` cells and their pictures."""

    def __init__(
        self, counts: Mapping[Cell, int], total: int, min_cell: int, secret: Collection[Cell] = frozenset()
    ) -> None:
        self.total, self.min_cell, self.secret = total, min_cell, frozenset(secret)
        self.known = dict(counts)
        self._hide([one for one, n in counts.items() if len(one) > 1 and (0 < n < min_cell or one in self.secret)])
        self._hide_alone()
        self._hide_what_is_too_large()

    def settle(self) -> None:
        """Hide cells until nothing small can be had by subtraction."""
        while (found := self._small_rests() or self._determined()) and self.known:
            self._hide(found)

    def _hide(self, going: Collection[Cell]) -> None:
        """These go, and with them what crosses them: who is not shown alone is not shown crossed."""
        gone = [set(one) for one in going]
        for one in list(self.known):
            if any(values <= set(one) for values in gone):
                del self.known[one]

    def _hide_alone(self) -> None:
        """Of the values of one attribute, those that whatever else is shared keeps back as well."""
        its: dict[str, dict[str, int]] = defaultdict(dict)
        for one, n in self.known.items():
            if len(one) == 1:
                its[one[0][0]][one[0][1]] = n
        for name, counts in its.items():
            rest = self.total - sum(counts.values())
            parts = counts | {REST: rest}
            secret = {value for value in counts if ((name, value),) in self.secret}
            kept = {*cells(parts, self.min_cell).shown} - secret - {REST}
            left = [value for value, n in parts.items() if n and value not in kept]
            if secret and len(left) == 1 and kept:
                kept.remove(max(kept, key=lambda value: (counts[value], value)))
            gone = [value for value, n in counts.items() if value in secret or (n and value not in kept)]
            self._hide([((name, value),) for value in gone])

    def _hide_what_is_too_large(self) -> None:
        """Tables of so many cells that nobody could solve them in reasonable time are not shown."""
        values = self._values()
        tables = {_attributes(one) for one in self.known}
        large = {names for names in tables if math.prod(len(values.get(name, ())) for name in names) > MOST_CELLS}
        self._hide([one for one in self.known if len(one) > 1 and _attributes(one) in large])

    def _parts(self) -> dict[tuple[Cell, str], list[Cell]]:
        """(cell, attribute) → what is shown of the cell crossed with the attribute."""
        parts = defaultdict(list)
        for one in self.known:
            for at in range(len(one)):
                parts[one[:at] + one[at + 1 :], one[at][0]].append(one)
        return parts

    def _first_to_go(self, among: Collection[Cell]) -> Cell:
        """The smallest, first of all where somebody did not say something."""
        return min(among, key=lambda one: (not self.known[one], not _unsaid(one), self.known[one], one))

    def _small_rests(self) -> list[Cell]:
        """For each sum whose rest is too small, the smallest of its parts."""
        found = []
        for (parent, _), parts in self._parts().items():
            whole = self.total if not parent else self.known.get(parent)
            if whole is None:
                continue
            rest = whole - sum(self.known[one] for one in parts)
            if 0 < rest < self.min_cell:
                found.append(self._first_to_go(parts))
        return found

    def _determined(self) -> list[Cell]:
        """For each small unknown that has only one solution, a cell beside it; [] where there is none."""
        depth = max((len(one) for one in self.known), default=0)
        if depth < 2:
            return []  # of one attribute there is one sum, and its rest is not small
        found: set[Cell] = set()
        for system in self._systems(depth):
            if len(system.unknowns) > MOST_UNKNOWNS:
                tables = {_attributes(one) for one in system.unknowns}
                found |= {one for one in self.known if _attributes(one) in tables}
                continue
            for place in _only_solutions(system, self.min_cell, self.secret):
                found.add(self._beside(system.unknowns[place]))
        return sorted(found)

    def _beside(self, unknown: Cell) -> Cell:
        """The shown cell to go for an unknown: a corner that makes a rectangle of unknowns with it, else one of its own sums, else any."""
        values, attributes = set(unknown), _attributes(unknown)
        table = [one for one in self.known if _attributes(one) == attributes]
        corner = [one for one in table if not any(mixed in self.known for mixed in _between(unknown, one))]
        near = [one for one in table if len(set(one) & values) == len(unknown) - 1]
        choice = corner or near or table or [one for one in self.known if set(one) < values] or list(self.known)
        return self._first_to_go(choice)

    def _values(self) -> dict[str, list[str]]:
        """Values of each attribute that are shown, and REST where these are not all."""
        values: dict[str, list[str]] = defaultdict(list)
        left: dict[str, int] = defaultdict(lambda: self.total)
        for one, n in self.known.items():
            if len(one) == 1:
                values[one[0][0]].append(one[0][1])
                left[one[0][0]] -= n
        return {name: [*its, *([REST] if left[name] else [])] for name, its in values.items()}

    def _systems(self, depth: int) -> Iterator["_System"]:
        """The equations between unknown cells, in parts that have nothing to do with one another."""
        values = self._values()
        known = dict(self.known)
        for name, its in values.items():
            if its[-1] == REST:
                known[((name, REST),)] = self.total - sum(self.known[((name, one),)] for one in its[:-1])
        sums = [
            (parent, [tuple(sorted((*parent, (name, one)))) for one in values[name]])
            for size in range(1, depth)
            for names in combinations(sorted(values), size)
            for parent in product(*[[(name, one) for one in values[name]] for name in names])
            for name in sorted(set(values) - set(names))
        ]
        yield from _apart(*_equations(sums, known))


class _System(NamedTuple):
    """U unknown cells and E equations: the matrix (E, U) of 1, -1 and 0, and (E,) what its rows make."""

    unknowns: list[Cell]
    matrix: csr_array
    sums: npt.NDArray[np.float64]


def _between(one: Cell, other: Cell) -> list[Cell]:
    """The other corners of the rectangle that two cells of one table span."""
    corners = product(*({mine, its} for mine, its in zip(one, other, strict=True)))
    return [corner for corner in corners if corner not in (one, other)]


def _unsaid(one: Cell) -> bool:
    return any(value == NOT_SAID for _, value in one)


def _attributes(one: Cell) -> tuple[str, ...]:
    return tuple(name for name, _ in one)


def _nobody(sums: list[tuple[Cell, list[Cell]]], known: Mapping[Cell, int]) -> set[Cell]:
    """Unknown cells without pictures: the rest of a sum that is complete without them, and what is a part of nobody."""
    none: set[Cell] = set()
    before = -1
    while len(none) > before:
        before = len(none)
        for parent, parts in sums:
            if parent in none or known.get(parent) == sum(known.get(one, 0) for one in parts):
                none.update(one for one in parts if one not in known)
    return none


def _equations(sums: list[tuple[Cell, list[Cell]]], known: Mapping[Cell, int]) -> _System:
    none = _nobody(sums, known)
    place: dict[Cell, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    signs: list[float] = []
    makes: list[float] = []
    for parent, parts in sums:
        unknown = [(one, 1.0) for one in parts if one not in known and one not in none]
        if parent not in known and parent not in none:
            unknown.append((parent, -1.0))
        if not unknown:
            continue
        for one, sign in unknown:
            rows.append(len(makes))
            columns.append(place.setdefault(one, len(place)))
            signs.append(sign)
        makes.append(float(known.get(parent, 0) - sum(known.get(one, 0) for one in parts)))
    matrix = csr_array((signs, (rows, columns)), shape=(len(makes), len(place)))
    return _System([*place], matrix, np.array(makes))


def _apart(unknowns: list[Cell], matrix: csr_array, sums: npt.NDArray[np.float64]) -> Iterator[_System]:
    """A system as those that share no unknown."""
    if not unknowns:
        return
    parts, part = connected_components(abs(matrix.T) @ abs(matrix), directed=False)
    of_row = part[matrix.indices[matrix.indptr[:-1]]]
    by_row = matrix.tocsr()
    for one in range(parts):
        mine, its = np.flatnonzero(part == one), np.flatnonzero(of_row == one)
        yield _System([unknowns[at] for at in mine], by_row[its][:, mine], sums[its])


def _only_solutions(system: _System, min_cell: int, secret: Collection[Cell]) -> list[int]:
    """Places of the unknowns that the equations leave one value, one that is small or a secret.

    An unknown is determined exactly where its unit vector lies in the row space of the equations: where it has length 1
    in a basis of that space.
    """
    left, size, right = np.linalg.svd(system.matrix.toarray(), full_matrices=False)
    rank = int((size > size[0] * 1e-10).sum())
    basis: npt.NDArray[np.float64] = right[:rank]
    fixed = (basis**2).sum(axis=0) >= DETERMINED
    solution = ((left[:, :rank].T @ system.sums) / size[:rank]) @ basis
    hidden = _must_not_be_told(system, solution, min_cell, secret)
    return [int(at) for at in np.flatnonzero(fixed & hidden)] or _only_counts(system, min_cell, secret)


def _must_not_be_told(
    system: _System, solution: npt.NDArray[np.float64], min_cell: int, secret: Collection[Cell]
) -> npt.NDArray[np.bool_]:
    """(U,) whether an unknown has few pictures, or is a secret that has any."""
    its_secret = np.array([one in secret for one in system.unknowns], bool)
    return np.asarray((solution > 0.5) & ((solution < min_cell - 0.5) | its_secret))


def _only_counts(system: _System, min_cell: int, secret: Collection[Cell]) -> list[int]:
    """Places of such unknowns that have one value for who also knows that nothing is below 0.

    Some solutions far apart leave few that may have only one value; of these the fewest and the most are looked for.
    """
    rng, n = np.random.default_rng(0), len(system.unknowns)
    if n > MOST_SOLVED:
        return []
    towards = [sign * one for one in rng.normal(size=(PROBES, n)) for sign in (1.0, -1.0)]
    found = [_solved(system, one) for one in towards]
    solutions = np.array([one for one in found if one is not None])
    if len(solutions) < 2:
        return []
    first = solutions[0]
    alike = (np.ptp(solutions, axis=0) < 0.5) & _must_not_be_told(system, first, min_cell, secret)
    places = []
    for at in np.flatnonzero(alike):
        unit = np.zeros(n)
        unit[at] = 1.0
        fewest, most = _solved(system, unit), _solved(system, -unit)
        if fewest is None or most is None or most[at] - fewest[at] < 0.5:
            places.append(int(at))
    return places


def _solved(system: _System, towards: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """The counts, none below 0, that have the least of `towards`; None where the solver gives up."""
    found = linprog(towards, A_eq=system.matrix, b_eq=system.sums, bounds=(0, None), method="highs")
    return None if found.x is None else np.asarray(found.x, np.float64)
