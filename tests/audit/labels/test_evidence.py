"""Evidence combined: by hand, against a slow definition, and what must hold whatever the kinds say."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.audit.labels.evidence import KINDS, TINY, WEIGHTS, Spoke, combine, spoke
from secondlook.pipeline.core.schemas import TABLES

scores = st.one_of(st.none(), st.floats(0, 1))
rows = st.lists(st.tuples(*(scores for _ in KINDS)), min_size=1, max_size=8)


def slow(row: dict[str, float | None]) -> float:
    total = weight = 0.0
    for name, score in row.items():
        if score is not None:
            sure = min(max(score, TINY), 1 - TINY)
            total += WEIGHTS[name] * math.log(sure / (1 - sure))
            weight += WEIGHTS[name]
    return 1 / (1 + math.exp(-total / weight)) if weight else math.nan


def arrays(table: list[tuple[float | None, ...]]) -> dict[str, npt.NDArray[np.float64]]:
    return {
        name: np.array([math.nan if row[i] is None else row[i] for row in table], np.float64)
        for i, name in enumerate(KINDS)
    }


def test_every_kind_has_a_weight_and_a_column() -> None:
    assert set(KINDS) == set(WEIGHTS)
    assert set(KINDS) < set(TABLES["evidence"].schema.names)


def test_one_kind_alone_is_what_it_says() -> None:
    said = np.array([0.0, 0.3, 0.5, 0.99, 1.0, np.nan])
    assert combine({"neighbors": said}) == pytest.approx(said, abs=2e-6, nan_ok=True)


def test_a_kind_that_is_sure_outweighs_one_that_leans() -> None:
    assert combine({"neighbors": np.array([0.99]), "refit": np.array([0.3])})[0] > 0.8


def test_kinds_that_are_not_there_have_no_weight() -> None:
    nothing = np.array([np.nan, np.nan])
    assert combine({"held_out": np.array([0.7, np.nan]), "dynamics": nothing}) == pytest.approx(
        [0.7, np.nan], nan_ok=True
    )


def test_nothing_to_combine_is_refused() -> None:
    with pytest.raises(ValueError, match="the kinds are held_out"):
        combine({})


@given(rows)
def test_against_the_definition(table: list[tuple[float | None, ...]]) -> None:
    wanted = [slow(dict(zip(KINDS, row, strict=True))) for row in table]
    found = combine(arrays(table))
    assert found.dtype == np.float32
    assert found == pytest.approx(wanted, abs=1e-6, nan_ok=True)


@given(rows, st.sampled_from(list(KINDS)), st.floats(0, 0.5))
def test_it_grows_with_every_kind_and_mirrors(table: list[tuple[float | None, ...]], name: str, more: float) -> None:
    before = arrays(table)
    after = before | {name: np.minimum(before[name] + more, 1.0)}
    there = ~np.isnan(combine(before))
    assert (combine(after)[there] >= combine(before)[there] - 1e-6).all()
    mirrored = combine({kind: 1 - said for kind, said in before.items()})
    assert mirrored[there] == pytest.approx(1 - combine(before)[there], abs=1e-5)


def test_who_spoke_clearest_first() -> None:
    said = {"refit": 0.7, "held_out": 0.9, "neighbors": 0.2, "dynamics": 0.01, "others": math.nan, "p_error": 0.6}
    assert spoke(said) == Spoke(("held_out", "refit"), ("dynamics", "neighbors"))


def test_the_undecided_and_the_silent_are_not_named() -> None:
    assert spoke({"refit": 0.52, "held_out": 0.48, "neighbors": None}) == Spoke((), ())
