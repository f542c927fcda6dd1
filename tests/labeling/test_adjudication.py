"""When people's answers are a label that others are measured by, and when they are not."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling.adjudication import REASONS, Adjudicated, Open, Voice, adjudicate


def voices(*answers: str) -> list[Voice]:
    """Answers of ann, bob, cleo …: a class in lower case, or an answer without one."""
    people = ("ann", "bob", "cleo", "dan", "eve", "fay", "gus")
    none = ("unsure", "none of these", "bad picture")
    return [
        Voice(who, said) if said in none else Voice(who, "label", said)
        for who, said in zip(people, answers, strict=False)
    ]


@pytest.mark.parametrize(
    ("answers", "result"),
    [
        ((), Open("fewer than three answers")),
        (("cat", "cat"), Open("fewer than three answers")),
        (("cat", "cat", "dog"), Adjudicated("cat", 3)),
        (("cat", "dog", "cow"), Open("no majority")),
        (("cat", "cat", "dog", "dog"), Open("no majority")),
        (("cat", "cat", "dog", "dog", "cat"), Adjudicated("cat", 5)),
        (("cat", "cat", "unsure"), Adjudicated("cat", 3)),
        (("cat", "cat", "unsure", "unsure"), Open("no majority")),
        (("cat", "unsure", "unsure"), Open("unsure")),
        (("bad picture", "bad picture", "cat"), Open("bad picture")),
        (("none of these", "none of these", "cat"), Adjudicated(None, 3)),
        (("none of these", "unsure", "bad picture"), Open("no majority")),
    ],
)
def test_three_people_of_whom_most_agree(answers: tuple[str, ...], result: Adjudicated | Open) -> None:
    for order in itertools.permutations(voices(*answers)):
        assert adjudicate(order) == result
    assert not isinstance(result, Open) or result.reason in REASONS


def test_an_expert_needs_nobody_else_and_is_outvoted_by_nobody() -> None:
    assert adjudicate(voices("cat", "cat", "cat", "cat", "dog"), experts=["eve"]) == Adjudicated("dog", 1)
    assert adjudicate(voices("unsure"), experts=["ann"]) == Open("unsure")
    assert adjudicate(voices("cat", "dog"), experts=["ann", "bob"]) == Open("no majority")
    assert adjudicate(voices("cat", "dog", "cat"), experts=["ann", "bob", "cleo"]) == Adjudicated("cat", 3)
    assert adjudicate(voices("cat", "cat", "cat"), experts=["nobody"]) == Adjudicated("cat", 3)


@given(st.lists(st.sampled_from(["cat", "dog", "unsure", "none of these", "bad picture"]), max_size=7))
def test_what_is_adjudicated_is_what_more_than_half_say(answers: list[str]) -> None:
    result = adjudicate(voices(*answers))
    most = max(answers, key=answers.count, default="")
    agreed = len(answers) >= 3 and answers.count(most) * 2 > len(answers) and most not in {"unsure", "bad picture"}
    assert isinstance(result, Adjudicated) == agreed
    if isinstance(result, Adjudicated):
        assert (result.label or "none of these") == most


def test_what_contradicts_a_label() -> None:
    said = voices("cat", "dog", "none of these", "unsure", "bad picture")
    assert [voice.contradicts("cat") for voice in said] == [False, True, True, None, None]
