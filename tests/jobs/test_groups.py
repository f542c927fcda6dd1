"""Which groups an audit compares: settings held against what is there, and a sentence for each that is left out."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.bias import groups, repairing
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import carrier as carriers
from secondlook.pipeline.core.bias_config import Attribute, BiasSettings
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.groups import NOT_SAID

Fill = Callable[..., dict[str, str]]


@pytest.fixture
def people(lake: Lake, fill: Fill) -> Lake:
    """Twenty pictures: sex is said of 18, age of 15 as a number, and everybody's camera is the same."""

    def told(at: int) -> dict[str, str]:
        sex = {"sex": ("f", "m", "")[min(at // 9, 2)]}
        age = {"age": str(at)} if at < 15 else {"age": "old"} if at < 17 else {}
        return sex | age | {"camera": "one", "name": f"n{at}"}

    fill([(f"{at:02}.png", "cat", bytes([at]), {"attributes": told(at)}) for at in range(20)])
    return lake


def settings(*attributes: Attribute, **bias: Any) -> Settings:
    return Settings(attributes=attributes, bias=BiasSettings(**({"most_values": 4} | bias)))


AGE = Attribute(name="age", bins="5,10", described="as it says on the form")


def test_all_that_are_groups_are_compared_and_of_the_others_it_is_said_why(people: Lake) -> None:
    found = groups.grouped(people, people.at(), settings(AGE))
    made = found.grouping
    assert made.attributes == ("age", "sex")
    assert made.values == (("<5", "5-9", "10+", NOT_SAID), ("f", "m", NOT_SAID))
    assert ({*made.bins}, made.left_out) == ({"age"}, ("camera", "name"))
    age, sex = found.audited
    assert age.counts == {"<5": 5, "5-9": 5, "10+": 5, NOT_SAID: 5}
    assert sex.counts == {"f": 9, "m": 9, NOT_SAID: 2}
    assert (age.missing, sex.missing, age.described, found.samples) == (5, 2, "as it says on the form", 20)
    notes = "\n".join(made.notes)
    assert "camera is not compared: it has one value only" in notes
    assert (
        "name is not compared: it has 20 values, more than [bias] most_values = 4; if it is a number, give it bins"
        in notes
    )
    assert f"2 pictures have a value of age that no bin holds, and count as {NOT_SAID}" in notes


def test_what_is_asked_for_by_name_comes_in_that_order_or_is_refused(people: Lake) -> None:
    asked = groups.grouping(people, people.at(), settings(AGE, attributes=" sex, age,sex"))
    assert (asked.attributes, asked.notes[1:]) == (("sex", "age"), ())
    misspelt = groups.grouping(people, people.at(), settings(Attribute(name="aeg", bins="5"), attributes="sex"))
    assert misspelt.notes == ("[[attributes]] describes aeg, which no picture has",)
    for names, said in (
        ("sex,rase", "unknown attribute in .bias. attributes 'rase'"),
        ("name", r"^\[bias\] attributes names name, which has 20 values, more than"),
        ("camera", "which has one value only"),
    ):
        with pytest.raises(UserError, match=said):
            groups.grouping(people, people.at(), settings(AGE, attributes=names))


def test_repairs_are_counted(people: Lake) -> None:
    repairing.run_set(people, ["sex:f=w", "age:old="], author="me", reason="words")
    found = groups.grouped(people, people.at(), settings(AGE))
    age, sex = found.audited
    assert (sex.counts, sex.repaired, age.repaired) == ({"m": 9, "w": 9, NOT_SAID: 2}, 9, 2)
    assert not [note for note in found.grouping.notes if "bin" in note and "age" in note]


def test_more_values_than_are_told_apart(people: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from secondlook.jobs.lint import on_driver

    monkeypatch.setattr(on_driver, "MOST_VALUES", 10)
    _, known = groups.attributes(people, people.at())
    assert (known["name"].values, known["name"].distinct, known["camera"].values) == (None, 20, {"one": 20})
    assert "name is not compared: it has 20 values" in "\n".join(
        groups.grouping(people, people.at(), settings(AGE)).notes
    )
    assert carriers.MOST_VALUES == 1000


def test_a_value_that_only_the_reference_has_is_a_group_of_nobody(people: Lake, tmp_path: Path) -> None:
    file = tmp_path / "census.csv"
    file.write_text(
        "attribute,value,share\nsex,f,.5\nsex,m,.48\nsex,diverse,.02\nage,10+,.5\nage,<5,.25\nage,5-9,.25\n"
    )
    found = groups.grouped(people, people.at(), settings(AGE, reference=str(file)))
    assert found.grouping.values == (("<5", "5-9", "10+", NOT_SAID), ("diverse", "f", "m", NOT_SAID))
    assert found.audited[1].counts["diverse"] == 0
    with pytest.raises(UserError, match=r"\[bias\] reference names .*none.csv, and there is no such file"):
        groups.grouping(people, people.at(), settings(reference=str(tmp_path / "none.csv")))
    assert groups.reference_text(settings(reference="uniform")) == "uniform"
    assert groups.reference_text(settings()) is None


def test_an_estimated_attribute_brings_its_validation_or_is_refused(people: Lake, tmp_path: Path) -> None:
    file = tmp_path / "v.csv"
    made = settings(Attribute(name="sex", estimated=str(file)), attributes="sex")
    with pytest.raises(UserError, match=r"\[\[attributes\]\] estimated of sex names .* no such file"):
        groups.grouping(people, people.at(), made)
    for text, said in (
        ("true,estimated,n\n" + "f" * 200_000 + ",f,1\n", "can't be read as CSV: field larger than field limit"),
        ("true,n\n", "needs the columns true, estimated, n; it lacks estimated"),
        ("true,estimated,n\nf,f,90\nf,m,some\n", "line 3 .* has n = 'some'"),
        ("true,estimated,n\nf,f,90\nm,m,0\n", "says nothing of 'm'; every estimated value needs pictures"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=said):
            groups.grouping(people, people.at(), made)
    file.write_text("true,estimated,n\nf,f,90\nf,m,10\nm,m,80\nm,f,20\n")
    found = groups.grouped(people, people.at(), made)
    assert found.grouping.estimated == {"sex": {"f": {"f": 90, "m": 10}, "m": {"m": 80, "f": 20}}}
    assert found.audited[0].estimated


def test_attributes_whose_crossing_is_too_large_are_left_out_or_refused(
    people: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "CELLS_BY_DEFAULT", 11)
    found = groups.grouping(people, people.at(), settings(AGE))
    assert found.attributes == ("sex",)
    assert "age not compared: crossed with the others they would make too many cells" in "\n".join(found.notes)
    asked = settings(AGE, attributes="sex,age")
    assert groups.grouping(people, people.at(), asked).attributes == ("sex", "age")
    monkeypatch.setattr(groups, "MOST_CODES", 11)
    with pytest.raises(UserError, match=r"names 2 attributes whose values cross into more cells .* leave out age"):
        groups.grouping(people, people.at(), asked)


def test_a_lake_without_attributes_has_no_groups(lake: Lake, fill: Fill) -> None:
    fill([("a.png", None, b"a")])
    found = groups.grouped(lake, lake.at(), settings())
    assert (found.grouping.attributes, found.audited, found.samples) == ((), (), 1)
    assert dataclasses.asdict(found.grouping)["notes"] == ()
