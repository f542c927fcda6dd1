"""Names that may mean one thing."""

import string
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.audit.classes.names import LETTER, SHORTEST, SPELLING, SYNONYM, alike, plain

HOSTILE = ["<script>alert(1)</script>", "line\nbreak", "x" * 10_000, "", " ", ",,,", "\x00", "+", "-"]


@pytest.mark.parametrize(
    ("one", "two", "how"),
    [
        ("tabby cat", "tabby_cat", SPELLING),
        ("TabbyCat", "tabby-cats", SPELLING),
        ("Bär", "bar", SPELLING),
        ("meat loaf", "meatloaf", SPELLING),
        ("puma, cougar", "cougar, puma", SPELLING),
        ("sunglass", "sunglasses, dark glasses, shades", SYNONYM),
        ("crane", "crane, wading bird", SYNONYM),
        ("airplane", "airplan", LETTER),
        ("strawberry", "strawbrery", LETTER),
        ("cat", "dog", None),
        ("cat", "rat", None),
        ("goose", "moose", None),
        ("class 10", "class 11", None),
        ("1", "10", None),
        ("scene_a1", "scene_a2", None),
        ("stained glass", "glass", None),
    ],
)
def test_pairs_of_names(one: str, two: str, how: str | None) -> None:
    assert [pair.how for pair in alike([one, two])] == ([how] if how else [])
    assert [pair.how for pair in alike([two, one])] == ([how] if how else [])


def test_synonyms_of_the_class_list_count() -> None:
    assert list(alike(["cougar", "puma"])) == []
    assert [pair.how for pair in alike(["cougar", "puma"], {"puma": ["Cougar"]})] == [SYNONYM]


def test_hostile_names_are_only_names() -> None:
    pairs = {(pair.first, pair.second) for pair in alike(HOSTILE)}
    assert (HOSTILE.index("+"), HOSTILE.index("-")) not in pairs
    assert list(alike(["x" * 10_000, "y" * 10_000])) == []


def damerau(a: str, b: str) -> int:
    """Edits between two words (optimal string alignment), by the table."""
    d = {(i, -1): i + 1 for i in range(-1, len(a))} | {(-1, j): j + 1 for j in range(-1, len(b))}
    for i in range(len(a)):
        for j in range(len(b)):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (a[i] != b[j]))
            if i and j and a[i] == b[j - 1] and a[i - 1] == b[j]:
                d[i, j] = min(d[i, j], d[i - 2, j - 2] + 1)
    return d[len(a) - 1, len(b) - 1]


@given(st.lists(st.text("abc", min_size=SHORTEST, max_size=8), min_size=2, max_size=12, unique=True))
def test_one_letter_apart_is_an_edit_distance_of_one(words: list[str]) -> None:
    found = {(pair.first, pair.second) for pair in alike(words)}
    slow = {(i, j) for (i, a), (j, b) in combinations(enumerate(words), 2) if damerau(plain(a), plain(b)) <= 1}
    assert found == slow


@given(st.lists(st.text(string.printable, max_size=20), max_size=12))
def test_pairs_are_of_two_classes_in_order(names: list[str]) -> None:
    found = list(alike(names))
    assert all(0 <= pair.first < pair.second < len(names) for pair in found)
    assert len({(pair.first, pair.second) for pair in found}) == len(found)
