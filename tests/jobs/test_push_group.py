"""`review push --group`: a batch of some groups alone, in the queue's own terms."""

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review import batches, of_groups
from secondlook.jobs.review.told import told
from secondlook.pipeline.core.config import Settings, from_mapping
from secondlook.pipeline.core.errors import UserError
from tests.jobs.conftest import NOW
from tests.jobs.test_push import asked, only, train

Fill = Callable[..., dict[str, str]]
KINDS = ["cat", "dog"]


def planted(n: int = 300, rare: int = 30) -> tuple[list[tuple[Any, ...]], dict[bytes, list[float]]]:
    """Pictures of two races and ages; the few of B are doubted less than those of A, so that a queue by doubt leaves them out."""
    pictures, probs = [], {}
    for i in range(n):
        race, age = ("B" if i < rare else "A"), ("70+" if i % 3 == 0 else "20-29")
        data = f"{race} {i}".encode()
        attributes = [("race", race), ("age", age), ("note", "a, b: <b>odd</b>" if i == 0 else "plain")]
        pictures.append((f"{i:03}.png", KINDS[i % 2], data, {"attributes": attributes}))
        its = [0.0, 0.3 if race == "B" else 0.6]
        its[0] = 1 - its[1]
        probs[data] = its if i % 2 == 0 else its[::-1]
    return pictures, probs


@pytest.fixture
def queue(lake: Lake, fill: Fill) -> dict[str, str]:
    """sample_id → race."""
    pictures, probs = planted()
    ids = fill(pictures, classes=KINDS)
    train(lake, probs, KINDS)
    return {ids[key]: dict(more["attributes"])["race"] for key, _, _, more in pictures}


def test_a_batch_of_a_group_restores_what_the_queue_left_out(lake: Lake, queue: dict[str, str]) -> None:
    summary = batches.run_push(lake, only(), budget=40)
    assert Counter(queue[one] for one in asked(lake, summary["batch"])) == {"A": 40}, "doubt alone asks for A"
    assert summary["of_groups"] == {}
    summary = batches.run_push(lake, only(), budget=20, groups=["race=B"])
    assert Counter(queue[one] for one in asked(lake, summary["batch"])) == {"B": 20}
    assert summary["of_groups"] == {"race B": {"pictures": 30, "candidates": 30, "asked": 20}}
    version = lake.at(summary["version"])
    assert version.summary["of_groups"] == summary["of_groups"], "the batch keeps whom it is of"
    again = batches.run_push(lake, only(), budget=20, groups=["race=B"])
    assert again["of_groups"]["race B"] == {"pictures": 30, "candidates": 10, "asked": 10}, "none is asked for twice"


def test_what_nothing_speaks_against_is_asked_for_too_the_most_doubtful_first(lake: Lake, fill: Fill) -> None:
    """Somebody wants to know of this group; an answer that changes nothing in expectation is one, too."""
    pictures, probs = planted()
    sure = {data: [0.9999, 0.0001] if its[0] > its[1] else [0.0001, 0.9999] for data, its in probs.items()}
    sure[b"B 4"] = [0.3, 0.7]
    ids = fill(pictures, classes=KINDS)
    train(lake, sure, KINDS)
    summary = batches.run_push(lake, only(), budget=20, groups=["race=B"])
    assert summary["asked"] == 20
    assert ids["004.png"] in asked(lake, summary["batch"])


def test_groups_cross_attributes_and_several_are_one_batch(lake: Lake, queue: dict[str, str]) -> None:
    summary = batches.run_push(
        lake, only(), budget=300, strategy="random", groups=["race=B, age=70+", "age=20-29,race=A"]
    )
    assert summary["asked"] == 10 + 180
    assert {name: its["asked"] for name, its in summary["of_groups"].items()} == {
        "race B, age 70+": 10,
        "age 20-29, race A": 180,
    }
    lines = list(told(summary, files=False))
    assert "of race B, age 70+: 10 asked for, of 10 that could be and 10 that there are" in lines


def test_values_may_have_commas_and_markup(lake: Lake, queue: dict[str, str]) -> None:
    for text in ("note=a, b: <b>odd</b>", "note=a, b: <b>odd</b>,race=B", "race=B,note=a, b: <b>odd</b>"):
        found = of_groups.read(lake, lake.at(), Settings(), [text])
        assert found is not None
        assert found.inside.sum() == 1


def test_a_value_that_is_not_there_is_refused_with_the_nearest(lake: Lake, queue: dict[str, str]) -> None:
    for text, said in (
        ("rase=B", "unknown attribute in --group 'rase', did you mean 'race'"),
        ("race=b", "unknown value of race in --group 'b'"),
        ("age=70", r"unknown value of age in --group '70', did you mean '70\+'"),
        ("B", "--group takes attribute=value, with commas between, such as 'race=Black,age=70.'; got 'B'"),
        ("", "--group takes attribute=value"),
        ("race=A,race=B", "--group names race twice"),
        ("note=a, b", "unknown value of note in --group 'a, b'"),
    ):
        with pytest.raises(UserError, match=said):
            of_groups.read(lake, lake.at(), Settings(), [text])


def test_a_group_that_nobody_is_of_is_refused(lake: Lake, fill: Fill) -> None:
    fill(
        [
            ("1.png", "cat", b"1", {"attributes": [("a", "x"), ("b", "x")]}),
            ("2.png", "dog", b"2", {"attributes": [("a", "y")]}),
        ]
    )
    with pytest.raises(UserError, match="no picture is of the group a y, b x"):
        of_groups.read(lake, lake.at(), Settings(), ["a=y,b=x"])
    summary = batches.run_push(lake, only(), groups=["b=(not said)"], strategy="random")
    assert summary["asked"] == 1


def test_repaired_values_and_bins_are_what_groups_are_called(lake: Lake, fill: Fill) -> None:
    ages = ["03-Sep", "3-9", "25", "31", "47"]
    fill([(f"{age}.png", "cat", age.encode(), {"attributes": [("age", age)]}) for age in ages], classes=["cat", "dog"])
    attempt = lake.attempt("attributes repair", {})
    repair = {"attribute": "age", "value": "03-Sep", "into": "3-9", "rule": "dates", "actor": "me", "pictures": 1}
    attempt.append("attribute_repairs", rows("attribute_repairs", [repair | {"reason": "", "time": NOW}]))
    attempt.commit({})
    assert batches.run_push(lake, only(), strategy="random", groups=["age=3-9"], dry_run=True)["asked"] == 2
    binned = from_mapping({"attributes": [{"name": "age", "bins": "18,40"}], "review": {"gold_share": 0.0}})
    found = batches.run_push(lake, binned, strategy="random", groups=["age=18-39", "age=40+"], dry_run=True)
    assert {name: its["asked"] for name, its in found["of_groups"].items()} == {"age 18-39": 2, "age 40+": 1}
    with pytest.raises(UserError, match="unknown value of age in --group '25'"):
        of_groups.read(lake, lake.at(), binned, ["age=25"])


def test_the_command_takes_groups(
    lake: Lake, queue: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "queue.csv"
    options = ["--lake", lake.url, "--to", str(file), "--strategy", "random", "--budget", "400"]
    assert command(["review", "push", "--group", "race=B,age=70+", "--group", "race=B,age=20-29", *options]) == 0
    assert "of race B, age 70+: 10 asked for, of 10 that could be and 10 that there are" in " ".join(
        capsys.readouterr().out.split()
    )
    with file.open() as text:
        assert len(list(csv.DictReader(text))) == 30
    assert command(["review", "push", "--group", "race=C", *options[:2]]) == 2
    assert "unknown value of race in --group 'C'" in capsys.readouterr().err
    assert command(["review", "push", "--group", "race=B", "--audit", "5", *options[:2]]) == 2
    assert "--audit takes no --group" in capsys.readouterr().err


def test_a_share_of_chance_is_of_the_group_too(lake: Lake, queue: dict[str, str]) -> None:
    settings = Settings()
    summary = batches.run_push(lake, settings, budget=20, groups=["race=B"])
    found = asked(lake, summary["batch"])
    assert "random" in found.values()
    assert {queue[one] for one in found} == {"B"}
    assert np.isclose(summary["asked"], 20)
