"""`secondlook attributes`: repairs are events that everybody reads by, and can be taken back."""

import io
import json
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.jobs import cli
from secondlook.jobs.bias import attributes as verb
from secondlook.jobs.bias import groups, repairing
from secondlook.jobs.history import history
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.attributes import Attributes, Repair, read
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import giveaways
from secondlook.jobs.lint.on_driver import LocalTables
from secondlook.jobs.review import alike
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.groups import NOT_SAID
from secondlook.pipeline.core.schemas import ATTRIBUTES

AGES = ("0-2", "03-Sep", "03-Sep", "Oct-19", "20-29", "n/a")


@pytest.fixture
def people(lake: Lake, fill: Callable[..., dict[str, str]]) -> Lake:
    """Six pictures, their ages as a spreadsheet left them; the last has no site."""
    told = [{"age": age, **({"site": f"s{at % 2}"} if at < 5 else {})} for at, age in enumerate(AGES)]
    fill([(f"{at}.png", "cat", bytes([at]), {"attributes": its}) for at, its in enumerate(told)])
    return lake


def ages(lake: Lake, version: str | int | None = None) -> list[str | None]:
    return [dict(one).get("age") for one in dataset.samples(lake, lake.at(version))["attributes"].to_pylist()]


def repair(seq: int, attribute: str, value: str, into: str) -> Repair:
    return Repair(seq, attribute, value, into, "by hand", "me", "", 1)


def run(lake: Lake, *words: str) -> int:
    return cli.run(["attributes", "--lake", lake.root, "--author", "eva", *words])


def test_a_proposal_is_shown_and_nothing_is_done_before_somebody_agrees(
    people: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(people, "--repair", "age") == 0
    shown = capsys.readouterr()
    assert (
        "        2  '03-Sep' → '3-9'  (spreadsheet-date: a spreadsheet took a span of numbers for a date)" in shown.out
    )
    assert "nothing was changed" in shown.err
    assert (people.at().id, ages(people)) == (1, list(AGES))


class Terminal(io.StringIO):
    """Standard input where somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "version"), [("n\n", 1), ("y\n", 2)])
def test_on_a_terminal_it_asks(people: Lake, monkeypatch: pytest.MonkeyPatch, answer: str, version: int) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    run(people, "--repair", "age")
    assert people.at().id == version


def test_a_repair_is_read_by_everybody_and_the_past_stays(people: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(people, "--repair", "age", "--yes", "--reason", "Excel", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == {
        "action": "repair", "pictures": 4, "attribute": "age", "author": "eva", "reason": "Excel", "version": 2,
        "values": {"03-Sep → 3-9": 2, "Oct-19 → 10-19": 1, f"n/a → {NOT_SAID}": 1}, "rules": ["not-said", "spreadsheet-date"],
    }  # fmt: skip
    meant = ["0-2", "3-9", "3-9", "10-19", "20-29", None]
    assert (ages(people), ages(people, 1)) == (meant, list(AGES))
    carrier = LocalTables(people, people.at())
    ids = people.latest("samples", people.at(), ["sample_id"])["sample_id"].combine_chunks()
    of_samples = [dict(one).get("age") for one in carrier.attributes_of(ids)["attributes"].to_pylist()]
    assert Counter(of_samples) == Counter(meant)
    balanced = alike.groups(people, people.at(), ids, ["age"])
    assert {*balanced.values[0]} == {one or NOT_SAID for one in meant}
    told = giveaways.count(
        dataset.samples(people, people.at())
        .append_column("size_bytes", pa.array([1] * 6)).append_column("width", pa.array([1] * 6)).append_column("height", pa.array([1] * 6))
        .append_column("brightness", pa.array([0.5] * 6)).append_column("format", pa.array(["PNG"] * 6))
        .append_column("mode", pa.array(["RGB"] * 6)).append_column("orientation", pa.array([1] * 6))
    ).to_pylist()  # fmt: skip
    assert {one["value"] for one in told if one["what"] == "attribute age"} == {one for one in meant if one}


def test_the_same_again_makes_no_version(people: Lake) -> None:
    first = repairing.run_repair(people, "age", author="eva")
    again = repairing.run_repair(people, "age", author="eva")
    assert (first["version"], again["version"], again["pictures"], people.at().id) == (2, None, 0, 2)


def test_two_who_agree_at_once_make_one_version(people: Lake) -> None:
    version = people.at()
    found, _ = repairing.look(people, version, "age")
    made = [repairing.apply(people, version, "age", found, author=who)["version"] for who in ("eva", "ada")]
    assert made == [2, 2]
    assert {one.actor for one in read(people, people.at()).repairs} == {"eva"}


def test_rules_are_chosen(people: Lake) -> None:
    assert repairing.run_repair(people, "age", author="eva", rules=["not-said"])["pictures"] == 1
    with pytest.raises(UserError, match="unknown rule of repairs 'cas', did you mean 'case'"):
        repairing.run_repair(people, "age", author="eva", rules=["cas"])
    with pytest.raises(UserError, match="unknown attribute 'ages', did you mean 'age'"):
        repairing.run_repair(people, "ages", author="eva")


def test_a_repair_by_hand_and_taken_back(people: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(people, "--set", "site:s0=Berlin", "--set", "site:s1=", "--reason", "told by Ada") == 0
    assert "3  s0 → Berlin" in capsys.readouterr().out
    sites = [dict(one).get("site") for one in dataset.samples(people, people.at())["attributes"].to_pylist()]
    assert sites == ["Berlin", None, "Berlin", None, "Berlin", None]
    assert run(people, "--undo", "site:s1") == 0
    assert [one.value for one in read(people, people.at()).repairs] == ["s0"]
    assert run(people, "--undo", "site") == 0
    assert read(people, people.at()).plain
    assert run(people, "--undo", "site") == 2
    assert "unknown repair to undo 'site': there is none yet" in capsys.readouterr().err
    line = history.run_log(people)[2]["change"]
    assert line.startswith("5 pictures")
    assert all(word in line for word in ("action set", "author eva", "reason told by Ada", "s0 → Berlin 3", "by hand"))


def test_the_same_repair_can_be_made_again_after_it_was_taken_back(people: Lake) -> None:
    for _ in range(2):
        assert repairing.run_repair(people, "age", author="eva")["version"] is not None
        repairing.run_undo(people, "age", author="eva")
    assert ages(people) == list(AGES)
    assert people.at().id == 5


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("site", "--set takes NAME:FROM=TO, such as"),
        ("place:s0=x", "unknown attribute 'place'"),
        ("site:s9=x", "unknown value of site 's9'. Choose from: s0, s1"),
        ("site:s0", "--set takes NAME:FROM=TO"),
        ("site:s0=s0", "is what it is already"),
    ],
)
def test_what_can_not_be_set_is_refused(people: Lake, asked: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        repairing.run_set(people, [asked], author="eva", reason="why")
    with pytest.raises(UserError, match="--set needs --reason"):
        repairing.run_set(people, ["site:s0=x"], author="eva", reason=" ")
    with pytest.raises(UserError, match="names one value twice"):
        repairing.run_set(people, ["site:s0=x", "site:s0=y"], author="eva", reason="why")


@pytest.mark.parametrize(
    "words", [["--rule", "case"], ["--yes"], ["--repair", "age", "--undo", "age"], ["--undo", "age", "--as-of", "1"]]
)
def test_options_that_do_not_go_together_are_refused(people: Lake, words: list[str]) -> None:
    assert run(people, *words) == 2


HOSTILE = "<script>alert('x')</script>[red]\n\u202e\x1b[2J" + "\U0001f600" * 200


def test_hostile_names_and_values_are_shown_as_they_are_and_can_be_repaired(
    lake: Lake, fill: Callable[..., dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    fill([(f"{at}.png", None, bytes([at]), {"attributes": {"a:b=c": HOSTILE, "a": "=x"}}) for at in range(3)])
    assert run(lake) == 0
    shown = capsys.readouterr().out
    assert "<script>alert('x')</script>[red]\\n\\u202e\\x1b" in shown
    assert max(map(len, shown.splitlines())) < 170
    assert run(lake, "--set", f"a:b=c:{HOSTILE}=fine", "--set", "a:=x=a=b", "--reason", HOSTILE) == 0
    assert run(lake, "--json") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["attributes"]
    assert [(one["name"], one["values"]) for one in told] == [("a", {"a=b": 3}), ("a:b=c", {"fine": 3})]
    assert cli.run(["log", "--lake", lake.root]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_the_list_tells_values_in_order_missing_bins_and_repairs(
    people: Lake, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    repairing.run_repair(people, "age", author="eva", rules=["spreadsheet-date"])
    file = tmp_path / "s.toml"
    file.write_text('[[attributes]]\nname = "age"\nbins = "10,20"\n')
    assert cli.run(["attributes", "--lake", people.root, "--settings", str(file)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[:6] == [
        "age: 5 values",
        "3  <10",
        "1  10-19",
        "1  20+",
        f"1  no number of a bin: {NOT_SAID}",
        lines[5],
    ]
    assert lines[5].startswith("repaired: '03-Sep' → '3-9' (spreadsheet-date, eva, 20")
    assert "1  mangled? 'n/a' → '(not said)' (not-said)" in lines
    assert f"site: 2 values, 1 {NOT_SAID}" in lines
    assert cli.run(["attributes", "--lake", people.root, "--as-of", "1"]) == 0
    assert "2  03-Sep" in capsys.readouterr().out


def test_a_lake_without_attributes_says_how_they_come(
    lake: Lake, fill: Callable[..., dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    fill([("a.png", None, b"a")])
    assert run(lake) == 0
    assert "`secondlook ingest SOURCE --labels FILE` brings" in capsys.readouterr().out


def test_an_old_lake_without_the_table_reads_as_ever(people: Lake) -> None:
    people.catalog.drop_table(f"{people.namespace}.attribute_repairs") if people.catalog.table_exists(
        f"{people.namespace}.attribute_repairs"
    ) else None
    assert ages(Lake(people.root)) == list(AGES)


# What repairs mean


def test_repairs_follow_one_another_and_those_of_one_commit_do_not() -> None:
    meant = Attributes(
        (repair(1, "sex", "m", "Male"), repair(2, "sex", "Male", "man"), repair(2, "sex", "man", "Male"))
    )
    assert meant.meaning("sex") == {"m": "man", "Male": "man", "man": "Male"}
    assert Attributes((repair(1, "a", "x", "y"), repair(2, "a", "y", "x"))).meaning("a") == {"y": "x"}
    assert meant.meaning("race") == {}


names = st.sampled_from(["sex", "age", "<b>"])
texts = st.one_of(st.none(), st.sampled_from(["m", "Male", "", "x"]))


@given(
    st.lists(st.one_of(st.none(), st.lists(st.tuples(names, texts), max_size=4, unique_by=lambda one: one[0])), max_size=12),
    st.lists(st.tuples(st.integers(1, 3), names, st.sampled_from(["m", "Male", "x"]), st.sampled_from(["Male", "man", "x", NOT_SAID])), max_size=5,
             unique_by=lambda one: one[:3]),
    st.integers(0, 4),
)  # fmt: skip
def test_values_are_repaired_as_one_by_one(
    rows: list[Any], repairs: list[tuple[int, str, str, str]], skipped: int
) -> None:
    meant = Attributes(tuple(repair(*one) for one in sorted(repairs)))
    means = {name: meant.meaning(name) for name in ("sex", "age", "<b>")}

    def one(row: list[tuple[str, str | None]] | None) -> list[tuple[str, str | None]] | None:
        if row is None:
            return None
        read_as = [(name, means[name].get(value, value) if value is not None else None) for name, value in row]
        return [pair for pair in read_as if pair[1] != NOT_SAID]

    column = pa.chunked_array([pa.array(rows, ATTRIBUTES)[skipped:], pa.array([], ATTRIBUTES)])
    found = meant.applied(column)
    assert found.type == ATTRIBUTES
    assert found.to_pylist() == [one(row) for row in rows[skipped:]]


# Real data


def test_the_faces_are_repaired_from_their_table(
    shared_data: Callable[[str], Path], lake: Lake, tmp_path: Path, spark: object
) -> None:
    folder, some = shared_data("faces"), tmp_path / "some.zip"
    with zipfile.ZipFile(folder / "images.zip") as whole, zipfile.ZipFile(some, "w") as part:
        for name in whole.namelist()[:120]:
            part.writestr(name, whole.read(name))
    lake.close()
    ingest = [
        "ingest",
        str(some),
        "--labels",
        str(folder / "labels.csv"),
        "--label-column",
        "gender",
        "--lake",
        lake.root,
    ]
    assert cli.run(ingest) == 0
    found = verb.run(lake, Settings())["attributes"]
    mangled = {one["value"]: (one["into"], one["rule"]) for one in found[0]["proposed"]}
    assert mangled == {"03-Sep": ("3-9", "spreadsheet-date"), "Oct-19": ("10-19", "spreadsheet-date")}
    assert [len(one["proposed"]) for one in found] == [2, 0, 0]
    assert run(lake, "--repair", "age", "--yes") == 0
    grouping = groups.grouping(lake, lake.at(), Settings())
    ages = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
    assert grouping.values[0] == tuple(age for age in ages if age in grouping.values[0])
    assert {"3-9", "10-19"} < {*grouping.values[0]}
    assert grouping.attributes == ("age", "race", "service_test")
