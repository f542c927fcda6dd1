"""Classes and answers on their way through Label Studio's JSON: nothing gets lost, and nothing is believed."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secondlook.labeling.studio import tasks
from secondlook.labeling.studio.tasks import BAD, LIST, NONE, SPECIAL, UNSURE, Option, Refused, Said
from secondlook.labeling.tickets import unbroken
from secondlook.pipeline.core.schemas import ANSWERS

SECRET = bytes(32)
NAMES = st.text(st.characters(), min_size=1, max_size=80)
WORDS = ["from_name", "value", "choices", "taxonomy", "type", tasks.ANSWER, LIST]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([*SPECIAL, LIST]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=12,
)


def chose(*codes: str, control: str = tasks.ANSWER) -> dict[str, Any]:
    return {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": list(codes)}}


CODES = tasks.codes(["cat", "none of these", NONE, " cat"])


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ([chose(tasks.code("cat"))], Said("label", "cat")),
        ([chose(tasks.code(" cat"))], Said("label", " cat")),
        ([chose(tasks.code("none of these"))], Said("label", "none of these")),
        ([chose(tasks.code(NONE))], Said("label", NONE)),
        ([chose(NONE)], Said("none of these")),
        ([chose(UNSURE)], Said("unsure")),
        ([chose(BAD)], Said("bad picture")),
        ([chose(NONE), chose(tasks.code("cat"), control=LIST)], Said("label", "cat")),
        ([chose(tasks.code("cat"), control=LIST)], Said("label", "cat")),
        (
            [chose(NONE), {"from_name": LIST, "type": "taxonomy", "value": {"taxonomy": [[tasks.code("cat")]]}}],
            Said("label", "cat"),
        ),
        ([chose(NONE), chose(control=LIST)], Said("none of these")),
        ([], Refused("nothing was chosen")),
        (None, Refused("the result is a NoneType, a list was expected")),
        ([chose()], Refused("nothing was chosen")),
        ([chose("cat")], Refused("the choice 'cat' was not offered")),
        ([chose(tasks.code("dog"))], Refused(f"the choice {tasks.code('dog')!r} was not offered")),
        ([chose(UNSURE, control=LIST)], Refused("the choice 'answer-unsure' was not offered")),
        (
            [chose(UNSURE), chose(tasks.code("cat"), control=LIST)],
            Refused("a class of the list was chosen beside another answer"),
        ),
        ([chose(tasks.code("cat"), BAD)], Refused("more than one choice, or none that can be read")),
        ([chose(UNSURE), chose(BAD)], Refused("the control answer has two results")),
        ([chose(UNSURE, control="rating")], Refused("the result is of the control 'rating', which was not asked")),
        ([{"from_name": tasks.ANSWER, "value": {"choices": [["a", "b"]]}}], Refused("a choice is no text")),
        (["x"], Refused("a part of the result has no value")),
    ],
)
def test_what_a_result_means(result: object, expected: Said | Refused) -> None:
    assert tasks.read(result, CODES) == expected


@given(JSON)
def test_whatever_comes_is_an_answer_or_a_reason(result: object) -> None:
    found = tasks.read(result, CODES)
    if isinstance(found, Said):
        assert found.answer in ANSWERS
        assert (found.label is None) == (found.answer != "label")
    else:
        assert 0 < len(found.reason) < 200


@given(st.lists(NAMES, min_size=1, max_size=6, unique=True))
@example(["none of these", NONE, "x" * 10_000, "x" * 9_999 + "y"])
@example(["\ud800", "\udfff"])
def test_each_class_comes_back_as_it_is(names: list[str]) -> None:
    options = [Option(tasks.code(name), text) for name, text in zip(names, tasks.shown(names), strict=True)]
    made = tasks.task(SECRET, "batch-1", "t", "/data/upload/1/x.png", options)
    offered = made["data"]["options"]
    assert len({one["alias"] for one in offered}) == len(names) + 3
    codes = tasks.codes(names)
    said = [tasks.read([chose(one["alias"])], codes) for one in offered]
    assert said == [*(Said("label", name) for name in names), *(Said(SPECIAL[code]) for code in (NONE, UNSURE, BAD))]


@given(st.lists(NAMES, max_size=8, unique=True))
@example(["a" * 99, "a" * 98 + "b", "a" * 59 + "… (2)", "a" * 59 + "…"])
@example(["", " ", "  ", "\n", "\xa0", "\u200b", "\u2060"])
@example([*SPECIAL])
def test_what_is_shown_is_different_short_and_harmless(names: list[str]) -> None:
    texts = tasks.shown(names)
    assert len(set(texts)) == len(names)
    for text in texts:
        assert text.strip()
        assert text == text.strip()
        assert len(text) <= 2 * tasks.LONGEST + 10
        assert text not in SPECIAL, "or the list would open for a class of this name"
        assert not any(letter in text for letter in "\x00\x07\n\r\u202e\ud800")
        assert not any(part[:1].isalnum() or part[:1] in "[]._{}" for part in text.split("$")[1:]), (
            "filled in by the tool"
        )


def test_a_task_holds_what_may_be_seen_and_all_of_it_is_escaped() -> None:
    evil = "<img src=x onerror=alert(1)>"
    made = tasks.task(SECRET, "batch-1", "t1", "/p.png", [Option("c", evil, ('/r".png',))], guess=evil)
    assert list(made) == ["data"]
    assert set(made["data"]) == {"batch", "ticket", "image", "options", "guess", "seal"}
    assert unbroken(SECRET, made["data"])
    first = made["data"]["options"][0]
    assert first["html"].count("<img") == 1
    assert "onerror=alert(1)&gt;" in first["html"]
    assert 'src="/r&quot;.png"' in first["html"]
    assert [one.get("hotkey") for one in made["data"]["options"]] == ["1", "0", "u", "b"]


def test_keys_are_for_nine_choices() -> None:
    offered = tasks.task(SECRET, "b", "t", "/p", [Option(str(n), str(n)) for n in range(11)])["data"]["options"]
    assert [one.get("hotkey", "") for one in offered] == [*"123456789", "", "", "0", "u", "b"]
