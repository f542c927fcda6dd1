"""Groups and their counts, held against going through the cells one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.core.groups import NOT_SAID, Group

GROUPING = Grouping(("sex", "race", "age"), (("f", "m"), ("A", "B", NOT_SAID), ("<18", "18+")), {})


def test_groups_are_all_values_and_what_crossing_them_makes() -> None:
    one, two, three = (GROUPING.groups(depth) for depth in (1, 2, 3))
    assert (len(one), len(two), len(three), GROUPING.size) == (7, 7 + 16, 7 + 16 + 12, 12)
    assert two[:7] == one
    assert len({*three}) == len(three)
    assert GROUPING.groups(9) == three
    assert three[0].name == "sex f"
    assert three[-1] == Group((("sex", "m"), ("race", NOT_SAID), ("age", "18+")))


@given(st.lists(st.integers(0, 11), max_size=12, unique=True), st.integers(1, 3), st.integers(1, 3), st.integers(0, 9))
def test_counts_of_a_group_are_those_of_its_cells(codes: list[int], outcomes: int, depth: int, seed: int) -> None:
    n = np.random.default_rng(seed).integers(0, 50, (len(codes), outcomes))
    counts = Counts(GROUPING, GROUPING.split(codes), tuple(map(str, range(outcomes))), n)
    groups = GROUPING.groups(depth)
    expected = np.zeros((len(groups), outcomes), np.int64)
    for row, group in enumerate(groups):
        for cell, its in zip(counts.cells.tolist(), n, strict=True):
            said = {
                name: values[at] for name, values, at in zip(GROUPING.attributes, GROUPING.values, cell, strict=True)
            }
            if all(said[name] == value for name, value in group.values):
                expected[row] += its
    assert (counts.by_group(groups) == expected).all()
    assert GROUPING.join(counts.cells).tolist() == codes
