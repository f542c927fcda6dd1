"""Reading an answers file: every mistake is one sentence that names the line."""

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling.answers import Answer, Keys, annotation_id, read
from secondlook.pipeline.core.errors import UserError

KEYS = ["train/cat/1.png", "test/cat/1.png", "train/dog/2.png", "flat.png"]
IDS = ["i1", "i2", "i3", "i4"]


def parse(text: str, classes: tuple[str, ...] = ("cat", "dog"), **options: bool) -> list[Answer]:
    return read(io.StringIO(text, newline=""), "a.csv", Keys(KEYS, IDS), classes, **options)


HEAD = "annotator,key,label,seconds\n"


def test_answers_are_read_in_their_order() -> None:
    found = parse(HEAD + "ann,train/cat/1.png,dog,1.5\nann,flat.png,unsure,\nbob,i3,bad picture,0\n")
    assert [(a.annotator, a.sample_id, a.answer, a.label) for a in found] == [
        ("ann", "i1", "label", "dog"),
        ("ann", "i4", "unsure", None),
        ("bob", "i3", "bad picture", None),
    ]
    assert (found[0].seconds, math.isnan(found[1].seconds), found[2].seconds) == (1.5, True, 0.0)
    assert [a.line for a in found] == [2, 3, 4]


def test_columns_are_found_by_name_and_others_are_ignored() -> None:
    text = "\ufefflabel, Key ,picture,annotator\ncat,2.png,x,ann\n"
    assert [(a.sample_id, a.label) for a in parse(text)] == [("i3", "cat")]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_the_csv_of_other_spreadsheets_is_read(delimiter: str) -> None:
    text = "key,annotator,label,seconds\ni1,ann,cat,\n".replace(",", delimiter)
    assert [(a.annotator, a.sample_id, a.label) for a in parse(text)] == [("ann", "i1", "cat")]


def test_lines_of_the_queue_that_nobody_filled_in_are_skipped() -> None:
    assert [a.sample_id for a in parse(HEAD + ",i1,,\n\n,i2, ,\nann,i3,cat,\n")] == ["i3"]


def test_the_same_line_twice_is_one_answer() -> None:
    assert len(parse(HEAD + "ann,i1,cat,1\nann,train/cat/1.png,cat,1\n")) == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("ann,none.png,cat,1", "a.csv line 2: no picture has the key 'none.png'"),
        ("ann,train/cat/11.png,cat,1", "near names: train/cat/1.png"),
        ("ann,1.png,cat,1", r"a.csv line 2: 2 pictures match '1.png' \(test/cat/1.png, train/cat/1.png\)"),
        ("ann,flat.png,cta,1", "a.csv line 2: unknown class 'cta', did you mean 'cat'"),
        ("ann,flat.png,,1", "a.csv line 2: label is empty; give a class, or one of unsure, none of these, bad picture"),
        ("ann,flat.png,cat,-1", "a.csv line 2: seconds takes a number from 0 to 86400, or nothing, got '-1'"),
        ("ann,flat.png,cat,soon", "a.csv line 2: seconds takes a number from 0 to 86400"),
        ("ann,flat.png,cat,nan", "a.csv line 2: seconds takes a number from 0 to 86400"),
        ("ann,flat.png,cat,inf", "a.csv line 2: seconds takes a number from 0 to 86400"),
        ("ann,flat.png,cat,1e308", "a.csv line 2: seconds takes a number from 0 to 86400"),
        (",flat.png,cat,1", "a.csv line 2: annotator is empty"),
        ("ann,flat.png,cat", "a.csv line 2: 3 values where the header has 4"),
        ("ann,i4,cat,1\nann,flat.png,dog,1", "a.csv line 3: 'ann' answered this picture differently in line 2"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_line(line: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse(HEAD + line + "\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a.csv needs the columns annotator, key, label, seconds; annotator, key, label is missing, got nothing"),
        ("annotator,label\n", "key is missing, got annotator, label"),
    ],
)
def test_a_missing_column_is_named(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse(text)


def test_a_new_class_is_taken_when_allowed() -> None:
    assert parse(HEAD + "ann,i1, wolf ,1\n", new_classes=True)[0].label == "wolf"


def test_a_class_that_is_called_like_no_answer_is_a_class() -> None:
    assert parse(HEAD + "ann,i1,unsure,1\n", classes=("unsure",))[0].label == "unsure"


def test_a_key_is_matched_by_whole_parts_of_the_path() -> None:
    keys = Keys(KEYS, IDS)
    assert keys.find("dog/2.png") == keys.find("./train/dog/2.png") == "i3"
    with pytest.raises(UserError, match=r"no picture has the key 'lat\.png'; near names: flat\.png"):
        keys.find("lat.png")


def test_an_exact_key_wins_over_longer_ones_that_end_in_it() -> None:
    assert Keys(["a/x.png", "x.png"], ["long", "short"]).find("x.png") == "short"


def test_an_annotation_keeps_its_identity_when_its_answer_changes() -> None:
    assert annotation_id("b", "s", "ann") == annotation_id("b", "s", "ann")
    assert len({annotation_id(*parts) for parts in [("b", "s", "ann"), ("b", "s", "bob"), ("c", "s", "ann")]}) == 3


@given(st.lists(st.text("ab/.", min_size=1, max_size=6), min_size=1, max_size=8, unique=True), st.data())
def test_find_is_the_obvious_search(keys: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(keys)).split("/", data.draw(st.integers(0, 2)))[-1]
    plain = name.removeprefix("./")
    ways = [lambda key: key == name, lambda key: key == plain, lambda key: key.endswith("/" + plain)]
    matches = next((found for way in ways if (found := list(filter(way, keys)))), [])
    finder = Keys(keys, [f"id of {key}" for key in keys])
    if len(matches) == 1:
        assert finder.find(name) == f"id of {matches[0]}"
    else:
        with pytest.raises(UserError):
            finder.find(name)
