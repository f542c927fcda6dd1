"""What is kept back can't be had by subtraction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.core.cells import Cells, cells
from secondlook.pipeline.core.groups import NOT_SAID


@pytest.mark.parametrize(
    ("counts", "least", "expected"),
    [
        ({"a": 90, "b": 30}, 10, Cells({"a": 90, "b": 30})),
        ({"a": 90, "b": 30, "c": 3}, 10, Cells({"b": 30}, 2, 93)),  # c alone is what the others leave
        ({"a": 90, "b": 30, "c": 3, "d": 3}, 10, Cells({"b": 30}, 3, 96)),  # c and d together are too few as well
        ({"a": 90, "b": 30, "c": 7, "d": 3}, 10, Cells({"a": 90, "b": 30}, 2, 10)),
        (
            {"a": 90, "b": 30, NOT_SAID: 3},
            10,
            Cells({"a": 90, "b": 30, NOT_SAID: 3}),
        ),  # nobody said it: nobody to point at
        ({"a": 90, "b": 30, "c": 3, NOT_SAID: 200}, 10, Cells({"b": 30, NOT_SAID: 200}, 2, 93)),
        ({"a": 90, "b": 30, "c": 3, NOT_SAID: 4}, 10, Cells({"b": 30}, 3, 97)),
        ({"c": 3, NOT_SAID: 200}, 10, Cells({}, 2, 203)),
        ({"a": 3}, 10, Cells({}, 1, 3)),
        ({"a": 100, "b": 0}, 10, Cells({"a": 100})),  # nobody is no group
        ({}, 10, Cells({})),
        ({"b": 5, "a": 1}, 1, Cells({"b": 5, "a": 1})),
    ],
)
def test_by_hand(counts: dict[str, int], least: int, expected: Cells) -> None:
    found = cells(counts, least)
    assert found == expected
    assert list(found.shown) == list(expected.shown)


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 40), max_size=8), st.integers(1, 15))
def test_what_is_hidden_is_several_groups_and_enough_pictures(counts: dict[str, int], least: int) -> None:
    found = cells(counts, least)
    assert all(n >= least for n in found.shown.values())
    assert found.total == sum(counts.values())
    assert found.hidden + len(found.shown) == sum(1 for n in counts.values() if n)
    if found.hidden and found.shown:  # whoever knows the whole learns of no single group, and of no few pictures
        assert found.hidden >= 2
        assert found.pictures >= least
    if all(n >= least for n in counts.values()):
        assert not found.hidden
