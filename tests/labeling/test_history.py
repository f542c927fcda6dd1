"""The history of labels: what holds, what differs, and what a revert restores."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling import history
from secondlook.labeling.history import EVENTS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Row = tuple[int, str, str | None, str | None]  # seq, sample, label, batch


def table(*rows: Row) -> pa.Table:
    records = [
        {"seq": seq, "sample_id": sample, "label": label, "source": "review" if batch else "ingest", "time": NOW}
        | {"actor": "ann", "batch": batch}
        for seq, sample, label, batch in rows
    ]
    return pa.Table.from_pylist(records, EVENTS)


def labels(events: pa.Table) -> dict[str, str | None]:
    held = history.holding(events)
    return dict(zip(held["sample_id"].to_pylist(), held["label"].to_pylist(), strict=True))


def reverted(events: pa.Table, batch: str) -> tuple[pa.Table, history.Reverted]:
    """The events after a revert, as the job appends them."""
    back = history.revert(events, batch, actor="ann", now=NOW)
    seq = max(events["seq"].to_pylist(), default=0) + 1
    n = back.events.num_rows
    added = back.events.append_column("seq", pa.array([seq] * n, pa.int64()))
    added = added.append_column("batch", pa.array([f"revert-{seq}"] * n, pa.string()))
    return pa.concat_tables([events, added.select(EVENTS.names).cast(EVENTS)]), back


# By hand


def test_the_newest_event_of_a_sample_holds() -> None:
    events = table((2, "a", "dog", "b"), (1, "b", "cat", None), (1, "a", "cat", None), (3, "b", None, "c"))
    assert labels(events) == {"a": "dog", "b": None}
    held = history.holding(events, as_of=1)
    assert held["label"].to_pylist() == ["cat", "cat"]


def test_diff_names_old_new_and_where_the_new_one_comes_from() -> None:
    before = table((1, "a", "cat", None), (1, "b", "cat", None), (1, "gone", "cat", None), (1, "same", None, None))
    after = pa.concat_tables([before, table((2, "a", "dog", "b1"), (2, "gone", None, "b1"), (2, "new", "cat", "b2"))])
    rows = history.diff(before, after).select(["sample_id", "old", "new", "source", "batch"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("a", "cat", "dog", "review", "b1"),
        ("gone", "cat", None, "review", "b1"),
        ("new", None, "cat", "review", "b2"),
    ]
    back = history.diff(after, before).select(["sample_id", "old", "new", "batch"]).to_pylist()
    assert [tuple(row.values()) for row in back] == [
        ("a", "dog", "cat", None),
        ("gone", None, "cat", None),
        ("new", "cat", None, "b2"),
    ]
    assert history.diff(after, after).num_rows == 0


def test_blame_tells_the_events_of_one_sample_in_order() -> None:
    events = table((3, "a", "dog", "b"), (1, "a", "cat", None), (2, "other", "cat", None))
    assert [(event.seq, event.label, event.batch) for event in history.of_sample(events, "a")] == [
        (1, "cat", None),
        (3, "dog", "b"),
    ]
    assert history.of_sample(events, "unknown") == []


def test_a_revert_restores_only_where_the_batch_still_decides() -> None:
    events = table(
        (1, "a", "cat", None),
        (1, "b", "cat", None),
        (2, "a", "dog", "b1"),
        (2, "b", "dog", "b1"),
        (2, "u", "dog", "b1"),
    )
    events = pa.concat_tables([events, table((3, "b", "bird", "b2"))])
    after, back = reverted(events, "b1")
    assert labels(after) == {"a": "cat", "b": "bird", "u": None}
    assert (back.events.num_rows, back.kept, back.already) == (2, ("b",), ())
    assert set(back.events["source"].to_pylist()) == {"revert"}


def test_a_second_revert_of_the_same_batch_says_that_it_was_taken_back() -> None:
    events, _ = reverted(table((1, "a", "cat", None), (2, "a", "dog", "b1")), "b1")
    after, back = reverted(events, "b1")
    assert (back.events.num_rows, back.kept, back.already) == (0, (), ("a",))
    assert labels(after) == {"a": "cat"}


def test_reverting_the_later_batch_makes_the_earlier_one_revertible() -> None:
    events = table((1, "a", "cat", None), (2, "a", "dog", "b1"), (3, "a", "bird", "b2"))
    events, _ = reverted(events, "b2")
    assert labels(events) == {"a": "dog"}
    events, _ = reverted(events, "b1")
    assert labels(events) == {"a": "cat"}


def test_a_revert_can_be_reverted_and_then_the_batch_again() -> None:
    events, _ = reverted(table((1, "a", "cat", None), (2, "a", "dog", "b1")), "b1")
    events, _ = reverted(events, "revert-3")
    assert labels(events) == {"a": "dog"}
    assert history.withdrawn(history.of_sample(events, "a")) == {3}
    events, _ = reverted(events, "b1")
    assert labels(events) == {"a": "cat"}
    assert history.withdrawn(history.of_sample(events, "a")) >= {2}


def test_a_batch_stays_revertible_under_reverts_of_all_that_came_after_it() -> None:
    events = table((1, "a", "cat", None), (2, "a", "dog", "b1"), (3, "a", "bird", "b2"))
    events, _ = reverted(events, "b2")
    events, _ = reverted(pa.concat_tables([events, table((5, "a", "frog", "b5"))]), "b5")
    assert labels(events) == {"a": "dog"}
    events, back = reverted(events, "b1")
    assert (labels(events), back.kept) == ({"a": "cat"}, ())


def test_a_batch_that_decided_twice_is_taken_back_as_a_whole() -> None:
    events = table((1, "a", "cat", None), (2, "a", "dog", "b1"), (3, "a", "bird", "b1"))
    assert labels(reverted(events, "b1")[0]) == {"a": "cat"}


def test_a_batch_that_confirmed_is_reverted_without_a_change() -> None:
    after, back = reverted(table((1, "a", "cat", None), (2, "a", "cat", "b1")), "b1")
    assert (labels(after), back.unchanged) == ({"a": "cat"}, 1)


def test_the_answers_that_decisions_used_and_those_that_were_taken_back() -> None:
    events = table((1, "a", "cat", None), (2, "a", "dog", "b1"), (2, "b", "dog", "b1"))
    votes = json.dumps({"votes": [{"annotation": "x", "seq": 7}]})
    events = events.set_column(
        events.column_names.index("evidence"), "evidence", pa.array([None, votes, votes.replace("x", "y")])
    )
    events = pa.concat_tables([events, table((3, "b", "bird", "b2"))])
    after, _ = reverted(events, "b1")
    assert history.uses(history.by_sample(after, ["a", "b"])) == ({("x", 7), ("y", 7)}, {("x", 7)})


# Against a slow, obvious definition, and properties

CLASSES = st.sampled_from([None, "cat", "dog"])
COMMITS = st.lists(st.dictionaries(st.sampled_from("abc"), CLASSES, min_size=1), min_size=1, max_size=6)


def commits(batches: Sequence[dict[str, str | None]]) -> pa.Table:
    """Commit n gives its labels in batch bn; the first is an ingest."""
    rows = [
        (seq, sample, label, f"b{seq}" if seq > 1 else None)
        for seq, batch in enumerate(batches, start=1)
        for sample, label in batch.items()
    ]
    return table(*rows)


@given(COMMITS)
def test_holding_is_what_a_replay_of_all_events_ends_with(batches: list[dict[str, str | None]]) -> None:
    replay: dict[str, str | None] = {}
    events = commits(batches)
    for seq, batch in enumerate(batches, start=1):
        replay |= batch
        held = history.holding(events, as_of=seq)
        assert dict(zip(held["sample_id"].to_pylist(), held["label"].to_pylist(), strict=True)) == replay


@given(COMMITS, COMMITS)
def test_diff_is_where_two_replays_differ(one: list[dict[str, str | None]], two: list[dict[str, str | None]]) -> None:
    old, new = commits(one), commits(two)
    a, b = labels(old), labels(new)
    expected = {key: (a.get(key), b.get(key)) for key in {*a, *b} if a.get(key) != b.get(key)}
    rows = history.diff(old, new).to_pylist()
    assert {row["sample_id"]: (row["old"], row["new"]) for row in rows} == expected
    assert [row["sample_id"] for row in rows] == sorted(expected)


@given(COMMITS)
def test_reverting_batches_from_the_top_gives_the_labels_before_each(batches: list[dict[str, str | None]]) -> None:
    events = commits(batches)
    for seq in range(len(batches), 1, -1):
        before = labels(table(*[row for row in _rows(commits(batches)) if row[0] < seq]))
        events, back = reverted(events, f"b{seq}")
        assert back.kept == ()
        assert {k: v for k, v in labels(events).items() if v is not None} == {
            k: v for k, v in before.items() if v is not None
        }


def _rows(events: pa.Table) -> list[Row]:
    return [(row["seq"], row["sample_id"], row["label"], row["batch"]) for row in events.to_pylist()]


@given(COMMITS, st.data())
def test_a_revert_of_a_revert_gives_the_labels_before_it(
    batches: list[dict[str, str | None]], data: st.DataObject
) -> None:
    events = commits(batches)
    names = [f"b{seq}" for seq in range(2, len(batches) + 1)] or ["b2"]
    after, back = reverted(events, data.draw(st.sampled_from(names)))
    again, undone = reverted(after, f"revert-{len(batches) + 1}")
    assert {**dict.fromkeys(labels(again)), **labels(events)} == labels(again)
    assert undone.events.num_rows == back.events.num_rows


@given(COMMITS, st.data())
def test_a_revert_changes_only_samples_whose_current_decision_is_the_batch_s(
    batches: list[dict[str, str | None]], data: st.DataObject
) -> None:
    events = commits(batches)
    batch = data.draw(st.integers(1, len(batches)))
    after, back = reverted(events, f"b{batch}")
    held = {row["sample_id"]: row["batch"] for row in history.holding(events).to_pylist()}
    mine = {sample for sample, its in held.items() if its == f"b{batch}"}
    assert set(back.events["sample_id"].to_pylist()) == mine
    changed = set(history.diff(events, after)["sample_id"].to_pylist())
    assert changed <= mine
    assert len(mine) - len(changed) == back.unchanged


@pytest.mark.parametrize("batch", ["b9", ""])
def test_a_batch_without_events_reverts_nothing(batch: str) -> None:
    back = history.revert(table((1, "a", "cat", None)), batch, actor="ann", now=NOW)
    assert (back.events.num_rows, back.kept, back.already) == (0, (), ())
