"""What follows from two states: the tool's answers hold, each person's newest, and the way between the states does not matter."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling.answers import Answer, annotation_id
from secondlook.labeling.studio.settle import Heard, Held, settle

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PREFIX = "label-studio:here/3/"
SAMPLES = ("s0", "s1")


def heard(number: int, sample: str, who: str, label: str, minute: int, *, named: bool = True) -> Heard:
    answer = Answer(who, sample, "label", label, 4.0)
    return Heard(answer, f"{PREFIX}{number}", number, BEGIN + timedelta(minutes=minute), named)


class Lake:
    """The table of annotations in a list: what `settle` says is appended to it."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def held(self) -> Held:
        newest = {row["annotation_id"]: row for row in self.rows}
        return Held(
            [*newest.values()], frozenset((row["origin"], row["changed"]) for row in self.rows if row["origin"])
        )

    def take(self, tool: list[Heard], samples: tuple[str, ...] = SAMPLES, keep: tuple[str, ...] = ()) -> list[str]:
        """States of the rows that one pull adds."""
        made = settle("b", self.held(), [one for one in tool if one.answer.sample_id in samples], samples, keep, PREFIX)
        assert len({row["annotation_id"] for row in made}) == len(made), "one commit never writes two rows of a key"
        self.rows += made
        return [row["state"] for row in made]

    def live(self) -> dict[tuple[str, str], tuple[str, str | None]]:
        held = [row for row in self.held().rows if row["state"] != "deleted"]
        return {(row["sample_id"], row["annotator"]): (row["label"], row["origin"]) for row in held}


def test_given_changed_deleted_and_given_again() -> None:
    lake = Lake()
    assert lake.take([heard(1, "s0", "ann", "cat", 0)]) == ["submitted"]
    assert lake.take([heard(1, "s0", "ann", "cat", 0)]) == []
    assert lake.take([heard(1, "s0", "ann", "dog", 5)]) == ["changed"]
    assert lake.take([]) == ["deleted"]
    assert lake.take([]) == []
    assert lake.take([heard(2, "s0", "ann", "dog", 9)]) == ["changed"]
    assert [row["label"] for row in lake.rows] == ["cat", "dog", "dog", "dog"], "earlier states are kept"


def test_only_samples_that_were_read_whole_lose_answers() -> None:
    lake = Lake()
    lake.take([heard(1, "s0", "ann", "cat", 0), heard(2, "s1", "ann", "cat", 0)])
    assert lake.take([], samples=("s1",)) == ["deleted"]
    assert lake.live() == {("s0", "ann"): ("cat", f"{PREFIX}1")}


def test_of_two_answers_of_a_person_the_newest_holds_and_then_the_one_that_is_left() -> None:
    lake = Lake()
    old, new = heard(1, "s0", "ann", "cat", 0), heard(2, "s0", "ann", "dog", 1)
    lake.take([new, old])
    assert lake.live() == {("s0", "ann"): ("dog", new.origin)}
    assert lake.take([old]) == ["changed"]
    assert lake.live() == {("s0", "ann"): ("cat", old.origin)}
    same = heard(3, "s0", "ann", "cat", 2)
    assert lake.take([old, same]) == ["changed"], "what it says is the same, but where it stands is not"
    assert lake.take([same]) == []


def test_an_answer_whose_task_can_not_be_believed_any_more_stays_as_it_was_taken() -> None:
    lake = Lake()
    lake.take([heard(1, "s0", "ann", "cat", 0)])
    assert lake.take([], keep=(f"{PREFIX}1",)) == []
    assert lake.live() == {("s0", "ann"): ("cat", f"{PREFIX}1")}


def test_who_lost_the_account_keeps_the_answers() -> None:
    lake = Lake()
    lake.take([heard(1, "s0", "ann", "cat", 0)])
    assert lake.take([heard(1, "s0", "user-7", "cat", 0, named=False)]) == []
    assert lake.take([heard(1, "s0", "user-7", "dog", 1, named=False)]) == ["changed"]
    assert lake.live() == {("s0", "ann"): ("dog", f"{PREFIX}1")}
    assert sorted(lake.take([heard(1, "s0", "anna", "dog", 1)])) == ["deleted", "submitted"], "the account was renamed"
    assert lake.live() == {("s0", "anna"): ("dog", f"{PREFIX}1")}


def test_what_a_file_corrected_stays_until_the_tool_has_something_newer() -> None:
    lake = Lake()
    lake.take([heard(1, "s0", "ann", "cat", 0)])
    by_file = {"annotation_id": annotation_id("b", "s0", "ann"), "batch": "b", "sample_id": "s0", "annotator": "ann"}
    lake.rows.append(
        by_file
        | {"answer": "label", "label": "bird", "seconds": 1.0, "state": "changed", "origin": None, "changed": None}
    )
    assert lake.take([heard(1, "s0", "ann", "cat", 0)]) == []
    assert lake.take([]) == [], "a file's answer is not the tool's to delete"
    assert lake.take([heard(1, "s0", "ann", "dog", 1)]) == ["changed"]
    assert lake.live() == {("s0", "ann"): ("dog", f"{PREFIX}1")}


@st.composite
def histories(draw: st.DrawFn) -> list[list[Heard]]:
    """States of the tool, one after the other: answers are given, changed, deleted."""
    tool: dict[int, Heard] = {}
    states = []
    for minute in range(draw(st.integers(1, 12))):
        number = draw(st.integers(1, 4))
        sample, who = SAMPLES[number % 2], "ann" if number < 4 else "bob"
        if number in tool and draw(st.booleans()):
            del tool[number]
        else:
            tool[number] = heard(number, sample, who, draw(st.sampled_from("ab")), minute)
        states.append([*tool.values()])
    return states


@given(histories(), st.data())
def test_however_often_the_tool_is_read_the_same_answers_hold(states: list[list[Heard]], data: st.DataObject) -> None:
    """Read at some of its states, in any order of answers, some samples only; then once whole: as who reads it at the end alone."""
    lake, once = Lake(), Lake()
    for state in states:
        if data.draw(st.booleans()):
            lake.take(data.draw(st.permutations(state)), data.draw(st.sampled_from([SAMPLES, ("s0",), ("s1",)])))
    lake.take(data.draw(st.permutations(states[-1])))
    once.take(states[-1])
    assert lake.live() == once.live()
    newest: dict[tuple[str, str], Heard] = {}
    for one in sorted(states[-1], key=lambda one: one.changed):  # the slow and obvious definition
        newest[one.answer.sample_id, one.answer.annotator] = one
    assert once.live() == {who: (one.answer.label, one.origin) for who, one in newest.items()}
    assert lake.take(states[-1]) == []
