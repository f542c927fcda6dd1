"""The list of classes from events: by hand, against reading label by label, and as properties."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.labeling.class_changes import check, check_undo, cleaned, find
from secondlook.labeling.class_list import (
    ADDED,
    MERGED,
    RENAMED,
    RETIRED,
    SIGNED_OFF,
    SPLIT,
    SYNONYMS,
    UNDONE,
    ClassEvent,
    causes,
    fold,
    follow,
    in_effect,
    steps,
)
from secondlook.pipeline.core.errors import UserError


def event(seq: int, what: str, name: str, into: str | None = None, *names: str) -> ClassEvent:
    return ClassEvent(seq, what, name, into, names, "ann", None, "because", None if what == ADDED else f"classes-{seq}")


def added(*names: str) -> list[ClassEvent]:
    return [event(1, ADDED, name) for name in names]


def meaning(events: Sequence[ClassEvent], name: str, seq: int) -> str | None:
    """The slow definition: walk a label through everything that stands, one event after the other."""
    now: str | None = name
    for one in in_effect(events):
        if now != one.name:
            continue
        if one.event in {MERGED, RENAMED}:
            now = one.into
        elif one.event == RETIRED:
            now = None
        elif one.event == SPLIT:
            now = now if seq > one.seq and now in one.names else None
    return now


def read(events: Sequence[ClassEvent], labels: Sequence[str | None], seq: Sequence[int]) -> list[str | None]:
    given_labels = pa.chunked_array([pa.array(labels, pa.string())])
    found: list[str | None] = fold(events).read(given_labels, pa.chunked_array([pa.array(seq, pa.int64())])).to_pylist()
    return found


def test_a_chain_of_merges_and_renames_reads_through() -> None:
    events = [*added("auto", "car", "truck"), event(2, MERGED, "auto", "car"), event(3, RENAMED, "car", "motor car")]
    listed = fold(events)
    assert listed.names == ["motor car", "truck"]
    assert read(events, ["auto", "car", "truck", None], [1, 1, 1, 1]) == ["motor car", "motor car", "truck", None]
    assert {name: one.event for name, one in listed.fates.items()} == {"auto": MERGED, "car": RENAMED}


def test_numbers_never_change_and_count_every_name() -> None:
    events = [*added("b", "a"), event(2, RENAMED, "b", "c"), event(3, MERGED, "a", "c"), event(4, ADDED, "z")]
    assert fold(events).numbers == {"b": 1, "a": 2, "c": 3, "z": 4}
    assert fold(events[:2]).numbers == {"b": 1, "a": 2}


def test_a_name_comes_back_by_renaming_back() -> None:
    events = [*added("cat"), event(2, RENAMED, "cat", "feline"), event(3, RENAMED, "feline", "cat")]
    assert fold(events).names == ["cat"]
    assert read(events, ["cat", "feline"], [1, 2]) == ["cat", "cat"]


def test_a_split_empties_what_was_said_before_it_and_keeps_what_is_said_after_it() -> None:
    events = [*added("dog", "cat"), event(5, SPLIT, "dog", None, "dog", "wolf")]
    assert fold(events).names == ["cat", "dog", "wolf"]
    assert read(events, ["dog", "dog", "dog", "wolf", "cat"], [4, 5, 6, 6, 1]) == [None, None, "dog", "wolf", "cat"]
    gone = [*added("dog"), event(5, SPLIT, "dog", None, "poodle", "wolf")]
    assert read(gone, ["dog", "dog"], [1, 9]) == [None, None]


def test_splits_in_a_row_each_have_their_time() -> None:
    events = [
        *added("a"), event(3, SPLIT, "a", None, "a", "b"), event(6, SPLIT, "a", None, "a", "c"), event(8, MERGED, "b", "a"),
    ]  # fmt: skip
    assert read(events, ["a"] * 4 + ["b"], [3, 4, 6, 7, 4]) == [None, None, None, "a", "a"]


def test_what_a_split_emptied_stays_empty_when_the_old_name_comes_back() -> None:
    events = [
        *added("a"), event(2, RENAMED, "a", "b"), event(4, SPLIT, "b", None, "b", "c"), event(6, RENAMED, "b", "a"),
    ]  # fmt: skip
    assert read(events, ["a", "b", "a", "b"], [1, 3, 5, 5]) == [None, None, "a", "a"]


def test_a_new_source_does_not_bring_a_retired_or_renamed_class_back() -> None:
    events = [
        *added("a", "b"),
        event(2, RETIRED, "a"),
        event(3, RENAMED, "b", "c"),
        event(4, ADDED, "a"),
        event(4, ADDED, "b"),
    ]
    assert fold(events).names == ["c"]
    assert read(events, ["a", "b"], [4, 4]) == [None, "c"]


def test_synonyms_move_with_a_name_and_end_a_sign_off() -> None:
    events = [*added("a"), event(2, SIGNED_OFF, "a"), event(3, SYNONYMS, "a", None, "x"), event(4, RENAMED, "a", "b")]
    assert fold(events[:2]).signed_off == {"a"}
    listed = fold(events)
    assert listed.signed_off == set()
    assert listed.synonyms == {"b": ("x",)}


def test_an_undone_undoing_stands_again() -> None:
    merged = [*added("a", "b"), event(2, MERGED, "a", "b")]
    undone = [*merged, event(3, UNDONE, "a", "classes-2")]
    assert fold(undone).names == ["a", "b"]
    assert fold([*undone, event(4, UNDONE, "a", "classes-3")]).names == ["b"]


def test_causes_name_what_changed_a_label() -> None:
    events = [*added("a", "b", "c"), event(2, RETIRED, "c"), event(3, MERGED, "a", "b"), event(4, RENAMED, "b", "d")]
    assert [(one.seq, means) for one, means in causes(steps(events), "a", 1)] == [(3, "b"), (4, "d")]
    back = [*events, event(5, UNDONE, "b", "classes-4")]
    assert [(one.seq, means) for one, means in causes(steps(back), "a", 1)] == [(3, "b"), (4, "d"), (5, "b")]


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (event(9, MERGED, "cat", "cat"), "can't be merged into itself"),
        (event(9, RENAMED, "cat", "cat"), "called cat already"),
        (event(9, RENAMED, "cat", "dog"), "there is a class dog already; merge the two instead"),
        (event(9, RENAMED, "cat", "DOG"), "there is a class dog already"),
        (event(9, RENAMED, "cat", "old"), r"old was the name of a class that is no more: retired \(classes-2\)"),
        (event(9, RENAMED, "cat", "auto"), r"no more: merged into dog \(classes-3\)"),
        (event(9, SPLIT, "cat", None, "tiger"), "two or more different classes, got tiger"),
        (event(9, SPLIT, "cat", None, "tiger", "Tiger"), "two or more different"),
        (event(9, SPLIT, "cat", None, "old", "tiger"), "old was the name of a class that is no more"),
        (event(9, SPLIT, "cat", None, "DOG", "tiger"), "there is a class dog already; use that name"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_sentence(wanted: ClassEvent, sentence: str) -> None:
    events = [*added("cat", "dog", "old", "auto"), event(2, RETIRED, "old"), event(3, MERGED, "auto", "dog")]
    with pytest.raises(UserError, match=sentence):
        check(wanted, fold(events), (), str)


def test_what_makes_sense_passes() -> None:
    events = [*added("cat", "dog"), event(2, RENAMED, "cat", "feline")]
    listed = fold(events)
    check(event(9, RENAMED, "feline", "cat"), listed, (), str)
    check(event(9, RENAMED, "dog", "Dog"), listed, (), str)
    check(event(9, SPLIT, "dog", None, "dog", "feline", "wolf"), listed, (), str)
    with pytest.raises(UserError, match="a is the only class"):
        check(event(9, RETIRED, "a"), fold(added("a")), (), str)
    check(event(9, RETIRED, "a"), fold(added("a")), ["b"], str)


def test_a_class_is_found_by_name_by_number_and_no_more_when_it_is_gone() -> None:
    events = [*added("cat", "#1", "7"), event(2, RETIRED, "cat")]
    listed = fold(events)
    assert find("#1", listed, (), str) == "#1"  # a class of that very name comes first
    assert find("#3", listed, (), str) == "7"
    assert find("borne", listed, ["borne"], str) == "borne"
    with pytest.raises(UserError, match=r"cat is no class any more: retired \(classes-2\)"):
        find("cat", listed, ["cat"], str)
    with pytest.raises(UserError, match=r"unknown class 'dgo', did you mean 'dog'\?"):
        find("dgo", fold(added("dog")), (), str)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201, "\u202eabc"])
def test_a_new_name_is_one_line_of_text(name: str) -> None:
    with pytest.raises(UserError, match="1 to 200 printable characters"):
        cleaned(name)


def test_a_new_name_is_no_answer() -> None:
    assert cleaned(" cafe\u0301 ") == "café"
    with pytest.raises(UserError, match="'unsure' is an answer"):
        cleaned("unsure")


def test_an_event_that_another_rests_on_is_taken_back_after_it() -> None:
    events = [*added("a", "b"), event(2, RENAMED, "a", "c"), event(3, MERGED, "c", "b")]
    with pytest.raises(
        UserError, match=r"classes-2 can't be taken back before classes-3.*`secondlook revert classes-3` first"
    ):
        check_undo("classes-2", events, ["a", "b"], str)
    assert check_undo("classes-3", events, ["a", "b"], str).name == "c"
    undone = [*events, event(4, UNDONE, "c", "classes-3")]
    check_undo("classes-2", undone, ["a", "b"], str)
    with pytest.raises(UserError, match="classes-3 was taken back before, by classes-4"):
        check_undo("classes-3", undone, ["a", "b"], str)


NAMES = ["a", "b", "c", "d", "e", "f"]


@st.composite
def histories(draw: st.DrawFn) -> list[ClassEvent]:
    """Valid histories: each step is proposed at random and taken where `check` lets it pass."""
    events = added(*draw(st.lists(st.sampled_from(NAMES[:4]), min_size=1, max_size=4, unique=True)))
    for seq in range(2, 2 + draw(st.integers(0, 8))):
        listed = fold(events)
        what = draw(st.sampled_from([MERGED, RENAMED, RETIRED, SPLIT, UNDONE, ADDED, SIGNED_OFF]))
        name, into = draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMES))
        parts = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=3, unique=True))
        try:
            if what == UNDONE:
                done = [one.batch for one in events if one.batch]
                if not done:
                    continue
                batch = draw(st.sampled_from(done))
                its = check_undo(batch, events, [], str)
                events.append(event(seq, UNDONE, its.name, batch))
                continue
            if what == ADDED:
                events.append(event(seq, ADDED, name))
                continue
            find(name, listed, (), str)
            if what == MERGED:
                find(into, listed, (), str)
            new = event(seq, what, name, into if what in {MERGED, RENAMED} else None, *(parts if what == SPLIT else ()))
            check(new, listed, (), str)
        except UserError:
            continue
        events.append(new)
    return events


labels = st.lists(
    st.tuples(st.one_of(st.none(), st.sampled_from([*NAMES, "stranger"])), st.integers(0, 12)), max_size=12
)


@given(histories(), labels)
def test_reading_is_walking_each_label_through_all_that_happened(
    events: list[ClassEvent], given_labels: list[tuple[str | None, int]]
) -> None:
    slow = [None if name is None else meaning(events, name, seq) for name, seq in given_labels]
    assert read(events, [name for name, _ in given_labels], [seq for _, seq in given_labels]) == slow


@given(histories(), st.randoms(use_true_random=False))
def test_the_list_does_not_depend_on_the_order_that_rows_are_read_in(events: list[ClassEvent], random: object) -> None:
    first = [one for one in events if one.seq == 1]
    shuffled = list(events[len(first) :])
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fold([*first, *shuffled]) == fold(events)


@given(histories())
def test_every_class_reads_as_itself_and_every_name_as_a_class_or_none(events: list[ClassEvent]) -> None:
    listed = fold(events)
    assert all(listed.now(name) == name for name in listed.names)
    assert {listed.now(name) for name in listed.readings[-1]} - {None} == set(listed.names)
    assert {*listed.readings[-1]} <= {*listed.numbers}
    assert not set(listed.fates) & set(listed.names)


@given(histories(), labels)
def test_taking_the_last_event_back_restores_exactly(
    events: list[ClassEvent], given_labels: list[tuple[str | None, int]]
) -> None:
    last = events[-1]
    if last.batch is None:
        return
    undone = [*events, event(99, UNDONE, last.name, last.batch)]
    names, seqs = [name for name, _ in given_labels], [seq for _, seq in given_labels]
    assert read(undone, names, seqs) == read(events[:-1], names, seqs)
    before, after = fold(events[:-1]), fold(undone)
    assert (after.names, after.signed_off, after.readings) == (before.names, before.signed_off, before.readings)


# Predictions


def predictions(rows: list[list[tuple[int, float]]]) -> pa.Table:
    return pa.table(
        {
            "content_id": [str(n) for n in range(len(rows))],
            "classes": pa.array([[one for one, _ in row] for row in rows], pa.list_(pa.int32())),
            "probs": pa.array([[prob for _, prob in row] for row in rows], pa.list_(pa.float32())),
        }
    )


def test_merged_classes_add_up_and_gone_ones_leave_their_share_to_the_others() -> None:
    rows = predictions([[(0, 0.5), (1, 0.3), (2, 0.2)], [(2, 0.6), (1, 0.4)], [(3, 1.0)]])
    found = follow(rows, np.array([0, 1, 0, -1]))
    assert found["content_id"].to_pylist() == ["0", "1"]
    assert found["classes"].to_pylist() == [[0, 1], [0, 1]]
    assert found["probs"].to_pylist() == [pytest.approx([0.7, 0.3]), pytest.approx([0.6, 0.4])]
    assert found.schema == rows.schema
    gone = follow(predictions([[(0, 0.5), (1, 0.4), (2, 0.1)]]), np.array([-1, 0, 1]))
    assert gone["probs"].to_pylist() == [pytest.approx([0.8, 0.2])]
    assert follow(predictions([]), np.array([0])).num_rows == 0


@settings(max_examples=50)
@given(st.data())
def test_followed_predictions_are_what_a_loop_makes_of_them(data: st.DataObject) -> None:
    k = data.draw(st.integers(1, 5))
    new = data.draw(st.lists(st.integers(-1, 3), min_size=k, max_size=k))
    rows = []
    for _ in range(data.draw(st.integers(0, 5))):
        chosen = data.draw(st.lists(st.integers(0, k - 1), min_size=1, max_size=k, unique=True))
        parts = data.draw(st.lists(st.integers(1, 100), min_size=len(chosen), max_size=len(chosen)))
        rows.append([(one, part / sum(parts)) for one, part in zip(chosen, sorted(parts, reverse=True), strict=True)])
    slow = {}
    for n, row in enumerate(rows):
        mass: dict[int, float] = {}
        for one, prob in row:
            if new[one] >= 0:
                mass[new[one]] = mass.get(new[one], 0.0) + prob
        if mass:
            slow[str(n)] = {one: prob / sum(mass.values()) for one, prob in mass.items()}
    found = follow(predictions(rows), np.array(new))
    fast = {
        name: dict(zip(classes, probs, strict=True))
        for name, classes, probs in zip(*(found[c].to_pylist() for c in found.column_names), strict=True)
    }
    assert fast.keys() == slow.keys()
    for name, masses in fast.items():
        assert masses == pytest.approx(slow[name], abs=1e-5)
        assert list(masses.values()) == sorted(masses.values(), reverse=True)
