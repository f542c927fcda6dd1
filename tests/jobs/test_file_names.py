"""Names of files: safe for any text, the text itself where it is plain, and no two texts alike."""

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from secondlook.jobs.files.file_names import escaped_first, picture_name, safe_name, suffix_of


@pytest.mark.parametrize("name", ["cat", "tabby cat", "日本", "émeu_2", "0", "a.b", "x-1", "R&D (old), #3"])
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a/b", "a%2Fb"),
        ("..", "%2E%2E"),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        (".git", "%2Egit"),
        ("-rf", "%2Drf"),
        ("", "%"),
        ("100%", "100%25"),
        ("a\0b\n", "a%00b%0A"),
        ("__MACOSX", "%5F_MACOSX"),
        ("nul.png", "%6Eul.png"),
        ("end. ", "end.%20"),
        ("<img src=x onerror=alert(1)>", "%3Cimg src=x onerror=alert(1)%3E"),
        ("\ud800", "%ED%A0%80"),
    ],
)
def test_what_a_file_system_would_take_for_something_else_is_escaped(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_long_name_is_cut_and_two_long_ones_differ() -> None:
    one, two = safe_name("ü" * 500 + "1"), safe_name("ü" * 500 + "2")
    assert one != two
    assert len(one.encode()) <= 120


TEXTS = st.text(st.characters(), max_size=12) | st.text("./ %-~ab\\:", max_size=6)


@given(TEXTS)
def test_every_name_is_one_part_of_a_path_and_not_hidden(text: str) -> None:
    name = safe_name(text)
    assert PurePosixPath("folder", name).parts == ("folder", name)
    assert not re.search(r'[/\\\x00-\x1f<>:"|?*]', name)
    assert name[0] not in ".-~ "
    assert name[-1] not in ". "
    name.encode()


@given(TEXTS, TEXTS)
def test_two_texts_never_share_a_name(one: str, two: str) -> None:
    assume(one != two)
    assert safe_name(one) != safe_name(two)


def test_a_split_s_name_can_be_told_from_a_class_s() -> None:
    assert escaped_first("test") == "%74est"


@pytest.mark.parametrize(
    ("key", "data", "name"),
    [
        ("train/cat/1.png", b"\xff\xd8", "1.png"),
        ("rows.parquet:12", b"\x89PNG", "rows.parquet%3A12.png"),
        ("member", b"\xff\xd8\xff", "member.jpg"),
        ("a/notes.txt", b"RIFF....WEBP", "notes.txt.webp"),
        ("x.weird", b"?", "x.weird"),
        ("x.jp/g", b"?", "g"),
    ],
)
def test_a_picture_s_file_has_a_suffix_that_readers_take_for_a_picture(key: str, data: bytes, name: str) -> None:
    assert picture_name(key, data) == name


def test_a_suffix_comes_from_the_bytes_first() -> None:
    assert [suffix_of(*pair) for pair in [(b"GIF89a", "x.png"), (b"?", "x.TIF"), (b"?", "x.csv"), (b"?", "x")]] == [
        ".gif",
        ".tif",
        "",
        "",
    ]
