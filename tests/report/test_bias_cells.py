"""What the report by groups shows can't be subtracted: a reader with a solver of linear programs tries."""

from collections import Counter
from collections.abc import Mapping
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from secondlook.pipeline.core.cells import cells
from secondlook.pipeline.core.groups import NOT_SAID, Group
from secondlook.pipeline.report.bias.cells import shown

People = list[tuple[str, ...]]
NAMES = ("a", "b", "c")


def counted(people: People, depth: int) -> dict[Group, int]:
    """Pictures of every group that has some."""
    found: Counter[Group] = Counter()
    for one in people:
        values = list(zip(NAMES, one, strict=False))
        for size in range(1, depth + 1):
            found.update(Group(its) for its in combinations(values, size))
    return dict(found)


def solve(
    counts: Mapping[Group, int], may: set[Group], total: int, values: list[list[str]], target: Group
) -> tuple[float, float]:
    """The fewest and the most pictures that a group may have, for who knows all names of values and all that is shown."""
    everybody = list(product(*values))
    named = [frozenset(zip(NAMES, one, strict=False)) for one in everybody]

    def row(group: Group) -> list[float]:
        return [float(set(group.values) <= one) for one in named]

    sums = np.array([[1.0] * len(everybody), *(row(group) for group in may)])
    makes = np.array([total, *(counts[group] for group in may)], float)
    ends = [
        sign * linprog(sign * np.array(row(target)), A_eq=sums, b_eq=makes, bounds=(0, None), method="highs").fun
        for sign in (1.0, -1.0)
    ]
    return ends[0], ends[1]


def protected(counts: Mapping[Group, int], may: set[Group], least: int) -> list[Group]:
    """The groups that nobody may count: small ones, unless they are a part of few who said nothing, which is told."""
    told = {group.values[0] for group in may if group.depth == 1 and counts[group] < least}
    return [
        group for group, n in counts.items() if n < least and group not in may and not told.intersection(group.values)
    ]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[People, int]:
    """Pictures of 2 or 3 attributes, some values of which are rare."""
    attributes = draw(st.integers(1, 3))
    value = st.sampled_from(["x", "x", "x", "x", "y", "y", "y", "z", "z", "w", NOT_SAID])
    n, seed = draw(st.integers(1, 160)), draw(st.integers(0, 2**32 - 1))
    first = [draw(st.lists(value, min_size=3, max_size=11)) for _ in range(attributes)]
    rng = np.random.default_rng(seed)
    return [tuple(its[rng.integers(len(its))] for its in first) for _ in range(n)], attributes


@settings(max_examples=60)
@given(crowds(), st.integers(2, 9))
def test_no_small_count_can_be_told_from_what_is_shown(crowd: tuple[People, int], least: int) -> None:
    people, attributes = crowd
    assume(len(people) >= least)  # else the total is small, and it is shown
    counts = counted(people, min(attributes, 2))
    may = shown(counts, len(people), least)
    values = [sorted({one[at] for one in people}) for at in range(attributes)]
    for group in protected(counts, may, least):
        low, high = solve(counts, may, len(people), values, group)
        assert high - low > 0.5, f"{group.name} has {counts[group]}: a reader knows"
    alone = {group for group in may if group.depth == 1 and counts[group] < least}
    assert all(group.values[0][1] == NOT_SAID for group in alone)


@settings(max_examples=25)
@given(crowds(), st.integers(2, 6))
def test_three_attributes_at_a_time_tell_no_more(crowd: tuple[People, int], least: int) -> None:
    people, attributes = crowd
    assume(len(people) >= least)
    counts = counted(people, attributes)
    may = shown(counts, len(people), least)
    values = [sorted({one[at] for one in people}) for at in range(attributes)]
    for group in protected(counts, may, least)[:12]:
        low, high = solve(counts, may, len(people), values, group)
        assert high - low > 0.5


@given(crowds(), st.integers(2, 9))
def test_of_one_attribute_the_same_groups_are_shown_as_in_the_data_card(crowd: tuple[People, int], least: int) -> None:
    people, attributes = crowd
    may = shown(counted(people, min(attributes, 2)), len(people), least)
    for at in range(attributes):
        card = cells(Counter(one[at] for one in people), least).shown
        assert {group.values[0][1] for group in may if group.attributes == (NAMES[at],)} <= set(card)


def one_way(**counts: int) -> dict[Group, int]:
    return {Group((("a", name),)): n for name, n in counts.items()}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"x": 50, "y": 30}, {"x", "y"}),
        ({"x": 50, "y": 30, "z": 4}, {"y"}),  # z would be what the others leave; the largest goes along
        ({"x": 50, "y": 30, "z": 4, "w": 7}, {"x", "y"}),  # 11 of two groups
    ],
)
def test_one_attribute_by_hand(counts: dict[str, int], expected: set[str]) -> None:
    found = shown(one_way(**counts), sum(counts.values()), 10)
    assert {group.values[0][1] for group in found} == expected


def test_what_is_left_of_the_total_is_a_small_group_even_if_nobody_listed_it() -> None:
    """Groups that are too small to be compared never come here; the total tells of them."""
    assert {group.values[0][1] for group in shown(one_way(x=50, y=30), 84, 10)} == {"y"}
    assert len(shown(one_way(x=50, y=30), 80, 10)) == 2


def crossed(**rows: tuple[int, ...]) -> tuple[dict[Group, int], int]:
    """Two attributes: a row for each value of r, a column for each of c."""
    counts: dict[Group, int] = {}
    for name, row in rows.items():
        counts[Group((("r", name),))] = sum(row)
        for at, n in enumerate(row):
            counts[Group((("c", str(at)), ("r", name)))] = n
            column = Group((("c", str(at)),))
            counts[column] = counts.get(column, 0) + n
    return counts, sum(sum(row) for row in rows.values())


def test_a_small_cell_takes_a_rectangle_with_it() -> None:
    counts, total = crossed(a=(4, 40, 60), b=(50, 30, 70), c=(80, 90, 100))
    hidden = {group.name for group in set(counts) - shown(counts, total, 10)}
    assert "c 0, r a" in hidden
    assert len(hidden) == 4  # a row and a column each lose one more, and these two would tell each other


def test_two_blocks_that_one_cell_joins_are_seen_through() -> None:
    """Rows and columns all lack two cells or more, yet the one that joins both blocks is what their sums differ by."""
    block = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 2), (2, 3), (3, 2), (3, 3)]
    counts, total = crossed(**dict.fromkeys("abcd", (40, 40, 40, 40)))
    for row, column in block:
        group = Group((("c", str(column)), ("r", "abcd"[row])))
        counts[Group((("r", "abcd"[row]),))] += 6 - 40
        counts[Group((("c", str(column)),))] += 6 - 40
        total += 6 - 40
        counts[group] = 6
    may = shown(counts, total, 10)
    values = [list("0123"), list("abcd")]
    renamed = {
        Group(tuple(("a" if name == "c" else "b", value) for name, value in group.values)): n
        for group, n in counts.items()
    }
    also = {Group(tuple(("a" if name == "c" else "b", value) for name, value in group.values)) for group in may}
    low, high = solve(renamed, also, total, values, Group((("a", "2"), ("b", "b"))))
    assert high - low > 0.5
    assert sum(group.depth == 2 for group in counts) - sum(group.depth == 2 for group in may) > len(block)


def test_who_is_not_shown_alone_is_not_shown_crossed() -> None:
    counts, total = crossed(a=(30, 30), b=(20, 40), c=(2, 1))
    may = shown(counts, total, 10)
    assert not [
        group for group in may if ("r", "c") in group.values or (("r", "b") not in group.values and group.depth == 2)
    ]


def test_many_groups_take_no_time() -> None:
    rng = np.random.default_rng(1)
    people = [tuple(str(v) for v in row) for row in rng.integers(0, 40, (4000, 3))]
    counts = counted(people, 2)
    may = shown(counts, len(people), 10)
    assert all(counts[group] >= 10 for group in may)
