import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.jobs.lake.store import Lake
from secondlook.labeling.tickets import sealed, ticket, tickets, unbroken

SECRET, OTHER = bytes(32), bytes(range(32))
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.lists(one, max_size=3))
DATA = {"batch": "batch-2", "sample": "77", "options": [{"value": "cat", "alias": "class-1"}]}


def test_a_ticket_is_the_keyed_hash_of_batch_and_sample() -> None:
    said = hashlib.blake2b(b"batch-2\0s1", key=SECRET, digest_size=8, person=b"ticket").hexdigest()
    assert ticket(SECRET, "batch-2", "s1") == said
    assert tickets(SECRET, "batch-2", ["s1", "s2"]) == {"s1": said, "s2": ticket(SECRET, "batch-2", "s2")}


def test_a_ticket_is_another_one_for_another_secret_batch_or_sample() -> None:
    made = [ticket(*of) for of in [(SECRET, "b", "s"), (OTHER, "b", "s"), (SECRET, "c", "s"), (SECRET, "b", "t")]]
    assert len(set(made)) == 4


@given(st.dictionaries(st.text(), JSON, max_size=4).filter(lambda data: "seal" not in data))
def test_what_was_sealed_is_unbroken_for_who_has_the_secret(data: dict[str, Any]) -> None:
    made = sealed(SECRET, data)
    assert unbroken(SECRET, dict(reversed(made.items()))), "the order of fields says nothing"
    assert not unbroken(OTHER, made)


@pytest.mark.parametrize(
    "changed",
    [
        {"sample": "78"},
        {"batch": "batch-3"},
        {"options": [{"value": "cat", "alias": "class-2"}]},
        {"guess": "dog"},
        {"seal": ""},
        {"seal": None},
        {"seal": "é" * 32},
    ],
)
def test_a_task_that_was_changed_is_told(changed: dict[str, Any]) -> None:
    assert not unbroken(SECRET, sealed(SECRET, DATA) | changed)


def test_a_task_without_a_field_or_a_seal_is_told() -> None:
    made = sealed(SECRET, DATA)
    del made["options"]
    assert not unbroken(SECRET, made)
    assert not unbroken(SECRET, DATA)


def test_a_lake_has_one_secret_for_good_and_no_other_lake_has_it(lake: Lake, tmp_path: Any) -> None:
    first = lake.versions.secret()
    assert len(first) == 32
    assert lake.versions.secret() == first
    assert Lake(lake.url.removeprefix("file://")).versions.secret() == first
    assert Lake(str(tmp_path / "another"), create=True).versions.secret() != first
