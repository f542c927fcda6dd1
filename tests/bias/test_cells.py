"""From attributes to codes of cells, held against the plain way."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.bias.binning import Bins
from secondlook.pipeline.bias.cells import codes
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.core.groups import NOT_SAID
from secondlook.pipeline.core.schemas import ATTRIBUTES

AGES = Bins((18.0, 50.0))
GROUPING = Grouping(("race", "age"), (("A", "B", NOT_SAID), (*AGES.names, NOT_SAID)), {}, {"age": AGES})
entry = st.one_of(
    st.tuples(st.just("race"), st.sampled_from(["A", "B", "", None])),
    st.tuples(st.just("age"), st.sampled_from(["1", "18", "20-29", "old", "", "50+", None])),
    st.tuples(st.just("other"), st.text(max_size=3)),
)


@given(st.lists(st.one_of(st.none(), st.lists(entry, max_size=4)), max_size=20), st.integers(0, 5))
def test_codes_are_those_of_the_values_one_by_one(
    rows: list[list[tuple[str, str | None]] | None], skipped: int
) -> None:
    column = pa.chunked_array([pa.array(rows, ATTRIBUTES)[skipped:], pa.array([[("race", "A")]], ATTRIBUTES)])
    found = codes(column, GROUPING)
    expected = []
    for row in [*rows[skipped:], [("race", "A")]]:
        said = dict(reversed(row or []))  # of a key said twice, the first
        race = said.get("race") or NOT_SAID
        age = AGES.binned(said.get("age") or NOT_SAID)
        expected.append([GROUPING.values[0].index(race), GROUPING.values[1].index(age)])
    assert GROUPING.split(found).tolist() == expected
    assert (GROUPING.join(expected) == found).all()


def test_nobody_has_no_cell() -> None:
    assert codes(pa.chunked_array([], ATTRIBUTES), GROUPING).tolist() == []


@pytest.mark.parametrize("row", [[("race", "C"), ("sex", "f")], [("race", "A")]])
def test_values_of_another_version_are_refused(row: list[tuple[str, str]]) -> None:
    grouping = Grouping(("race", "sex"), (("A", "B"), ("f", "m")), {})
    with pytest.raises(ValueError, match="which the grouping does not know"):
        codes(pa.chunked_array([pa.array([row], ATTRIBUTES)]), grouping)
