"""The history of labels: what holds, what differs, and what a revert restores."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
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


# By person, and by time


def voted(*rows: tuple[int, str, str | None, str | None, str]) -> pa.Table:
    """Events with the people, by initials, whose answers they were made of: their votes are called after them."""
    events = table(*[row[:4] for row in rows])
    evidence = [
        json.dumps({"votes": [{"annotator": who, "annotation": f"{who}-{row[1]}", "seq": 1} for who in row[4]]})
        if row[4]
        else None
        for row in rows
    ]
    return events.set_column(events.column_names.index("evidence"), "evidence", pa.array(evidence, pa.string()))


def without(events: pa.Table, annotator: str) -> tuple[pa.Table, history.Reverted]:
    return appended(events, history.revert_annotator(events, annotator, actor="ann", now=NOW))


def appended(events: pa.Table, back: history.Reverted) -> tuple[pa.Table, history.Reverted]:
    seq = max(events["seq"].to_pylist(), default=0) + 1
    n = back.events.num_rows
    added = back.events.append_column("seq", pa.array([seq] * n, pa.int64()))
    added = added.append_column("batch", pa.array([f"revert-{seq}"] * n, pa.string()))
    return pa.concat_tables([events, added.select(EVENTS.names).cast(EVENTS)]), back


def test_a_person_s_decisions_go_and_the_others_answers_are_free() -> None:
    events = voted(
        (1, "a", "cat", None, ""),
        (1, "b", "cat", None, ""),
        (2, "a", "dog", "b1", "eb"),
        (2, "b", "dog", "b1", "b"),
        (2, "c", "dog", "b1", "e"),
    )
    after, back = without(events, "e")
    assert labels(after) == {"a": "cat", "b": "dog", "c": None}
    assert (back.events.num_rows, back.kept, back.already) == (2, (), ())
    used, gone = history.uses(history.by_sample(after, "abc"))
    assert gone == {("e-a", 1), ("e-c", 1)}
    assert used == {("e-a", 1), ("e-c", 1), ("b-b", 1)}, "bob's answer for a may decide anew"
    again, undone = reverted(after, "revert-3")
    assert labels(again) == labels(events)
    assert undone.events.num_rows == 2
    assert history.uses(history.by_sample(again, "abc"))[1] == set()


def test_what_went_to_an_equal_picture_goes_with_it() -> None:
    events = voted((1, "a", "cat", None, ""), (1, "copy", "cat", None, ""), (2, "a", "dog", "b1", "e"))
    spread = table((2, "copy", "dog", "b1"))
    told = pa.array([json.dumps({"spread_from": "a"})])
    events = pa.concat_tables([events, spread.set_column(spread.column_names.index("evidence"), "evidence", told)])
    assert labels(without(events, "e")[0]) == {"a": "cat", "copy": "cat"}
    assert labels(without(events, "b")[0]) == labels(events)


def test_an_answer_that_another_decision_stands_on_is_not_withdrawn() -> None:
    events = voted((1, "a", "cat", None, ""), (2, "a", "dog", "b1", "a"), (3, "a", "bird", "b2", "ab"))
    after, _ = reverted(events, "b2")
    assert labels(after) == {"a": "dog"}
    assert history.uses(history.by_sample(after, "a"))[1] == {("b-a", 1)}


def test_what_weighs_anew_stands_for_itself_and_lies_below_no_answer() -> None:
    events = voted((1, "a", "cat", None, ""), (2, "a", "dog", "b1", "e"))
    back = {"undid": [], "restores": 1, "undecided": "unsure", "votes": []}
    row = table((3, "a", "cat", "again-3")).set_column(4, "source", pa.array(["revert"]))
    events = pa.concat_tables([events, _with(row, back)])
    its = history.of_sample(events, "a")
    assert history.withdrawn(its) == set()
    found = history.meant(its)
    assert found is not None
    assert found.seq == 3
    before = history.before_answers(its, {"a"})
    assert before is not None
    assert before.seq == 1
    assert history.meant([]) is None


def _with(events: pa.Table, evidence: dict[str, object]) -> pa.Table:
    events = table(*_rows(events))
    events = events.set_column(events.column_names.index("source"), "source", pa.array(["revert"]))
    return events.set_column(events.column_names.index("evidence"), "evidence", pa.array([json.dumps(evidence)]))


def at(events: pa.Table) -> pa.Table:
    """The same events, each commit a day after the one before."""
    times = [NOW + timedelta(days=seq) for seq in events["seq"].to_pylist()]
    return events.set_column(events.column_names.index("time"), "time", pa.array(times, EVENTS.field("time").type))


@given(COMMITS, st.data())
def test_what_was_decided_since_a_time_is_taken_back(batches: list[dict[str, str | None]], data: st.DataObject) -> None:
    events = at(commits(batches))
    day = data.draw(st.integers(2, len(batches) + 1))
    back = history.revert_between(events, NOW + timedelta(days=day), None, actor="ann", now=NOW)
    after, _ = appended(events, back)
    before = labels(events.filter(pc.less(events["seq"], day)))
    assert {k: v for k, v in labels(after).items() if v is not None} == {
        k: v for k, v in before.items() if v is not None
    }
    again, _ = reverted(after, f"revert-{len(batches) + 1}")
    assert {**dict.fromkeys(labels(again)), **labels(events)} == labels(again)


@given(COMMITS, st.data())
def test_of_a_span_only_what_is_current_is_taken_back(
    batches: list[dict[str, str | None]], data: st.DataObject
) -> None:
    events = at(commits(batches))
    first = data.draw(st.integers(2, len(batches) + 1))
    last = data.draw(st.integers(first, len(batches) + 2))
    back = history.revert_between(events, NOW + timedelta(days=first), NOW + timedelta(days=last), actor="ann", now=NOW)
    held = dict(zip(*(history.holding(events)[name].to_pylist() for name in ("sample_id", "seq")), strict=True))
    assert set(back.events["sample_id"].to_pylist()) == {one for one, seq in held.items() if first <= seq < last}


VOTED = st.lists(
    st.tuples(st.sampled_from("abc"), CLASSES, st.sets(st.sampled_from("xyz"), min_size=1)), min_size=1, max_size=6
)


@given(VOTED, st.sampled_from("xyz"))
def test_no_current_decision_rests_on_a_reverted_person(
    decisions: list[tuple[str, str | None, set[str]]], who: str
) -> None:
    rows = [
        (seq, sample, label, f"b{seq}", "".join(sorted(people)))
        for seq, (sample, label, people) in enumerate(decisions, 2)
    ]
    events = voted(*[(1, sample, "cat", None, "") for sample in "abc"], *rows)
    after, _ = without(events, who)
    for sample in "abc":
        found = history.meant(history.of_sample(after, sample))
        assert found is not None
        assert who not in {vote["annotator"] for vote in found.evidence.get("votes", ())}
    again, _ = reverted(after, f"revert-{max(events['seq'].to_pylist()) + 1}")
    assert labels(again) == labels(events)
