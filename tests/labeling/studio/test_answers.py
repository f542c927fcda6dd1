"""Annotations of the tool as answers: by what they say of themselves, and refused by reason where that can't be believed."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling.studio import answers, tasks
from secondlook.labeling.studio.answers import Batch, Refused, hear
from secondlook.labeling.studio.settle import Heard
from secondlook.labeling.tickets import sealed

CODES = tasks.codes(["cat", "dog"])
SECRET = bytes(32)
BATCH = Batch(
    "batch-1",
    {"t0": "s0", "t1": "s1"},
    {"s0": CODES, "s1": CODES},
    {7: "ann@example.com"},
    "o/",
    {"o/5": "s1"},
    SECRET,
    owner=1,
)
GENUINE = sealed(SECRET, {"batch": "batch-1", "ticket": "t0", "image": "/p.png", "options": []})


def annotation(**other: Any) -> dict[str, Any]:
    result = {"from_name": tasks.ANSWER, "type": "choices", "value": {"choices": [tasks.code("cat")]}}
    return {
        "id": 1,
        "result": [result],
        "completed_by": 7,
        "lead_time": 2.5,
        "updated_at": "2026-01-01T10:00:00Z",
    } | other


def one(data: Any = None, **other: Any) -> Heard | Refused:
    task = {"id": 9, "data": GENUINE if data is None else data}
    (only,) = hear(task | {"annotations": [annotation(**other)]}, BATCH)
    return only


def test_an_answer_is_of_the_sample_that_its_task_names() -> None:
    found = one()
    assert isinstance(found, Heard)
    assert (found.answer.sample_id, found.answer.annotator, found.answer.label) == ("s0", "ann@example.com", "cat")
    assert (found.answer.seconds, found.origin, found.changed.isoformat()) == (2.5, "o/1", "2026-01-01T10:00:00+00:00")


@pytest.mark.parametrize("by", [7, {"id": 7}, 1, None])
def test_an_author_may_save_an_answer_and_so_may_who_sent_the_batch(by: Any) -> None:
    assert isinstance(one(updated_by=by), Heard)


def test_skips_are_no_answers_and_unknown_people_have_a_number() -> None:
    assert hear({"data": {}, "annotations": [annotation(was_cancelled=True)]}, BATCH) == []
    found = one(completed_by={"id": 8, "email": "x"})
    assert isinstance(found, Heard)
    assert (found.answer.annotator, found.named) == ("user-8", False)


@pytest.mark.parametrize(
    ("reason", "data", "other"),
    [
        (answers.OTHER_BATCH, {"batch": "batch-2", "ticket": "t0"}, {}),
        (answers.OTHER_BATCH, "nothing", {}),
        (answers.UNKNOWN_PICTURE, {"batch": "batch-1", "ticket": "t7"}, {}),
        (answers.UNKNOWN_PICTURE, {"batch": "batch-1", "ticket": ["t0"]}, {}),
        (answers.EDITED, GENUINE | {"image": "/other.png"}, {}),
        (answers.EDITED, {"batch": "batch-1", "ticket": "t0"}, {}),
        (answers.FORGED, None, {"updated_by": 8}),
        (answers.FORGED, None, {"updated_by": {"id": 8}}),
        (answers.MOVED, None, {"id": 5}),
        (answers.NOBODY, None, {"completed_by": None}),
        (answers.NO_TIME, None, {"updated_at": "yesterday"}),
        (answers.NO_TIME, None, {"updated_at": "2026-01-01T10:00:00"}),
    ],
)
def test_what_can_not_be_believed_is_refused(reason: str, data: Any, other: dict[str, Any]) -> None:
    found = one(data, **other)
    assert isinstance(found, Refused)
    assert found.reason == reason


def test_of_what_is_refused_a_bounded_part_is_kept() -> None:
    found = one(result="x" * 100_000)
    assert isinstance(found, Refused)
    assert len(found.raw) == answers.RAW_CHARS


@pytest.mark.parametrize("seconds", [None, -1.0, float("nan"), float("inf"), 1e308, "4", [4]])
def test_a_time_that_is_none_is_not_known(seconds: Any) -> None:
    found = one(lead_time=seconds)
    assert isinstance(found, Heard)
    assert found.answer.known_seconds is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


@given(anything, anything, anything, anything, st.text() | st.just("s\ud800"))
def test_whatever_comes_becomes_an_answer_or_a_reason_that_tables_take(
    result: Any, who: Any, when: Any, seconds: Any, sample: str
) -> None:
    data = {"batch": "batch-1", "ticket": sample}
    found = one(data, result=result, completed_by=who, updated_at=when, lead_time=seconds)
    assert isinstance(found, Refused)
    pa.table({"all": [found.origin, found.sample_id, found.annotator, found.raw, found.reason]})
    assert len(found.raw) <= answers.RAW_CHARS
    json.dumps(found.reason)
