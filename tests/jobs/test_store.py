"""The lake: what a reader sees, after whatever happened to the writers."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Attempt, Lake
from secondlook.pipeline.core.errors import ConflictError, UnavailableError, UserError
from secondlook.pipeline.core.schemas import TABLES


def events(*pairs: tuple[str, str]) -> pa.Table:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return pa.table(
        {
            "sample_id": [sample for sample, _ in pairs],
            "label": [label for _, label in pairs],
            "source": ["ingest"] * len(pairs),
            "actor": ["test"] * len(pairs),
            "time": pa.array([now] * len(pairs), pa.timestamp("us", tz="UTC")),
            "batch": pa.array([None] * len(pairs), pa.string()),
            "evidence": pa.array([None] * len(pairs), pa.string()),
        }
    )


def write(lake: Lake, job: str, *pairs: tuple[str, str], **inputs: object) -> Attempt:
    attempt = lake.attempt(job, inputs)
    attempt.append("labels", events(*pairs))
    return attempt


def labels(lake: Lake, reference: str | int | None = None) -> dict[str, str]:
    rows = lake.latest("labels", lake.at(reference), ["sample_id", "label"])
    return dict(zip(rows["sample_id"].to_pylist(), rows["label"].to_pylist(), strict=True))


def test_newest_event_of_a_sample_is_its_label_and_old_versions_stay(lake: Lake) -> None:
    write(lake, "a", ("s1", "cat"), ("s2", "dog"), x=1).commit({})
    write(lake, "a", ("s1", "dog"), x=2).commit({})
    assert labels(lake) == {"s1": "dog", "s2": "dog"}
    assert labels(lake, 1) == labels(lake, "head~1") == {"s1": "cat", "s2": "dog"}


def test_an_attempt_that_never_commits_is_invisible_to_those_after_it(lake: Lake) -> None:
    write(lake, "a", ("s1", "cat"), x=1).commit({})
    write(lake, "killed", ("s1", "WRONG"), ("s9", "WRONG"))  # dies here
    assert labels(lake) == {"s1": "cat"}
    write(lake, "b", ("s2", "dog"), x=1).commit({})
    assert labels(lake) == {"s1": "cat", "s2": "dog"}


def test_the_same_job_on_the_same_inputs_is_one_version(lake: Lake) -> None:
    first, second = write(lake, "a", ("s1", "cat"), x=1), write(lake, "a", ("s1", "cat"), x=1)
    assert second.commit({}).id == first.commit({}).id == 1
    assert lake.read("labels", lake.at()).num_rows == 1


def test_two_jobs_on_different_tables_both_survive(lake: Lake) -> None:
    write(lake, "a", ("s1", "cat"), x=1).commit({})
    slow = lake.attempt("slow", {})
    slow.append("classes", pa.table({"name": ["cat"], "event": ["added"]} | _rest("classes", 1)))
    write(lake, "a", ("s1", "dog"), x=2).commit({})
    assert slow.commit({}).id == 3
    assert labels(lake) == {"s1": "dog"}
    assert lake.read("classes", lake.at())["name"].to_pylist() == ["cat"]


def _rest(table: str, n: int) -> dict[str, pa.Array]:
    from secondlook.pipeline.core.schemas import TABLES

    skip = {"seq", "name", "event"}
    return {f.name: pa.nulls(n, f.type) for f in TABLES[table].schema if f.name not in skip}


def test_two_jobs_on_one_table_the_slower_is_told_to_run_again(lake: Lake) -> None:
    fast, slow = write(lake, "fast", ("s1", "cat")), write(lake, "slow", ("s1", "dog"))
    fast.commit({})
    with pytest.raises(ConflictError, match="another job changed labels meanwhile"):
        slow.commit({})
    assert labels(lake) == {"s1": "cat"}


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("7", "there is no version 7; this lake has 1 to 1"),
        ("9" * 30, "this lake has 1 to 1"),
        (f"head~{'9' * 30}", "this lake has 1 to 1"),
        ("yesterday", "a number, head or head~N; got 'yesterday'"),
    ],
)
def test_an_unknown_version_is_answered_with_those_there_are(lake: Lake, reference: str, sentence: str) -> None:
    write(lake, "a", ("s1", "cat")).commit({})
    with pytest.raises(UserError, match=sentence):
        lake.at(reference)


def test_opening_a_folder_that_is_no_lake_is_refused(tmp_path: object) -> None:
    with pytest.raises(UserError, match="there is no lake at"):
        Lake(f"{tmp_path}/nothing")
    (tmp_path / "photo.txt").write_text("mine")  # type: ignore[operator]
    with pytest.raises(UserError, match="not a lake and not empty"):
        Lake(str(tmp_path), create=True)


def test_a_table_whose_maker_died_before_its_root_is_empty_and_can_be_written(lake: Lake) -> None:
    lake.catalog.create_table(f"{lake.namespace}.labels", schema=TABLES["labels"].schema)
    assert lake.read("labels", None).num_rows == 0
    write(lake, "a", ("s1", "cat")).commit({})
    assert labels(lake) == {"s1": "cat"}


def test_a_lake_that_was_moved_says_so_and_does_not_look_empty(lake: Lake, tmp_path: Path) -> None:
    write(lake, "a", ("s1", "cat")).commit({})
    lake.close()
    (tmp_path / "lake").rename(tmp_path / "moved")
    for create in (False, True):
        with pytest.raises(UserError, match=r"was moved or copied from file://.*/lake, .*move it back there"):
            Lake(str(tmp_path / "moved"), create=create)
    (tmp_path / "moved").rename(tmp_path / "lake")
    assert labels(Lake(str(tmp_path / "lake"))) == {"s1": "cat"}


def test_a_catalog_that_is_no_database_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"x" * 5000)
    with pytest.raises(UnavailableError, match="file is not a database"):
        Lake(str(tmp_path))


def test_a_version_from_before_a_column_was_added_reads_with_nulls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TABLES["annotations"]
    older = dataclasses.replace(whole, schema=whole.schema.remove(whole.schema.get_field_index("seconds")))
    monkeypatch.setitem(TABLES, "annotations", older)
    url = str(tmp_path / "old")
    attempt = Lake(url, create=True).attempt("review pull", {})
    attempt.append("annotations", rows("annotations", [{"annotation_id": "a", "annotator": "ann"}]))
    attempt.commit({})
    monkeypatch.setitem(TABLES, "annotations", whole)
    lake = Lake(url)
    for columns in (None, ["annotation_id", "seconds"]):
        for read in (lake.read, lake.latest):
            found = read("annotations", lake.at(), columns)
            assert found["annotation_id"].to_pylist() == ["a"]
            assert found["seconds"].to_pylist() == [None]
    attempt = lake.attempt("review pull", {"n": 2})
    attempt.append("annotations", rows("annotations", [{"annotation_id": "b", "seconds": 3.0}]))
    attempt.commit({})
    assert lake.latest("annotations", lake.at())["seconds"].to_pylist() == [None, 3.0]
    assert lake.latest("annotations", lake.at(1))["seconds"].to_pylist() == [None]
