"""The frontier of a small lake, made by the real steps: measured once, read ever after, picked from, and gated."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from secondlook.jobs import cli
from secondlook.jobs.clusters.stored import rows_of
from secondlook.jobs.distill import distill
from secondlook.jobs.distill import stored as students_of
from secondlook.jobs.frontier import everyone, frontier, held_out, kept, measure
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.train import train
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.clusters import Cluster
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.frontier import Frontier
from secondlook.pipeline.core.models_config import DistillSettings, FrontierSettings, TrainSettings

from .conftest import filler
from .test_train import stripes

SETTINGS = Settings(
    train=TrainSettings(folds=2, refits=0, epochs=8, image_px=16, batch=16, flip=False, threads=1),
    distill=DistillSettings(students="resnet:4", epochs=1, batch=16),
    frontier=FrontierSettings(attack=8, attacked=12, steps=3, repeats=6, draws=100),
    bias=BiasSettings(min_cell=15),
)
EVIL = "<b onclick=alert(1)>x"


def pictures() -> list[tuple[Any, ...]]:
    """60 to learn from and 120 that are held out, of two classes; of a site each, one of which has too few to be shown."""

    def one(at: int, split: str) -> tuple[Any, ...]:
        site = EVIL if at % 5 < 2 else "harbour" if at % 5 < 4 else f"mast {at % 2}"
        facts = {"split": split, "attributes": [("site", site)]}
        return (f"{split}/{at:03d}.png", ("across", "upright")[at % 2], stripes(at, bool(at % 2)), facts)

    return [one(at, "train") for at in range(60)] + [one(at, "test") for at in range(60, 180)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A generalist and, taught by it for a moment, a student in float32 and in int8."""
    lake = Lake(str(tmp_path_factory.mktemp("frontier") / "lake"), create=True)
    filler(lake)(pictures())
    train.run(lake, SETTINGS)
    distill.run(lake, SETTINGS)
    yield lake
    lake.close()


@pytest.fixture(scope="module")
def summary(made: Lake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    page = tmp_path_factory.mktemp("page") / "frontier.html"
    return frontier.run(made, SETTINGS, under="1s,10MB", output=page) | {"page": page.read_text()}


def test_students_and_their_teacher_are_measured_on_what_nobody_learned_from(summary: dict[str, Any]) -> None:
    teacher, *students = summary["points"]
    assert teacher["role"] == "teacher"
    assert [one["numbers"] for one in sorted(students, key=lambda one: len(one["name"]))] == ["float32", "int8"]
    assert {one["teacher"] for one in students} == {teacher["name"]}
    assert summary["held_out"] is True
    assert all(one["n"] == summary["n"] for one in summary["points"])
    assert 90 <= summary["n"] <= 120
    assert "split test" in summary["pictures"]
    for one in summary["points"]:
        low, high = one["accuracy"]["interval"].values()
        assert low <= one["accuracy"]["value"] <= high
        assert 0 < one["latency"]["value"] < one["latency_64"]["value"]
        assert one["params"] > 0 < one["madds"]
        assert one["robust"]["value"] <= one["calm"]["value"]


def test_costs_are_those_of_the_files(made: Lake, summary: dict[str, Any]) -> None:
    by_name = {one["name"]: one for one in summary["points"]}
    found = students_of.students(made, made.at())
    for student in found:
        assert by_name[student.name]["bytes"] == len(student.file(made))
        net = student.module(made, torch.device("cpu"))
        assert by_name[student.name]["params"] == sum(its.numel() for its in net.parameters())
    sizes = {one.precision: by_name[one.name]["bytes"] for one in found}
    assert sizes["int8"] != sizes["float32"]


def test_accuracy_is_that_of_the_file_on_the_very_pictures(made: Lake, summary: dict[str, Any]) -> None:
    from secondlook.jobs.train.features import pixels
    from secondlook.pipeline.learn.students.onnx_file import Runner

    version = made.at()
    held = held_out.load(made, version, SETTINGS, verified=False)
    for student in students_of.students(made, version):
        shown, _ = pixels(made, version, held.content_ids, 16, SETTINGS.ingest)
        said = Runner(student.file(made)).ask(shown).argmax(axis=1)
        names = np.array(student.classes)[said]
        right = np.mean(names == np.array(held.classes)[held.labels])
        point = next(one for one in summary["points"] if one["name"] == student.name)
        assert point["accuracy"]["value"] == pytest.approx(right)


def test_groups_that_few_pictures_have_are_not_told(made: Lake, summary: dict[str, Any]) -> None:
    for one in summary["points"][1:]:
        names = {group["name"] for group in one["groups"]}
        assert names
        assert "mast 0" not in json.dumps(summary["points"])
        assert all(group["n"] >= 15 for group in one["groups"])
    assert any("with fewer than 15 pictures here" in note for note in summary["notes"])


def test_what_was_measured_is_not_measured_again_and_reads_the_same(made: Lake, summary: dict[str, Any]) -> None:
    before = made.at()
    again = frontier.run(made, SETTINGS, as_of=str(summary["version"]))
    assert made.at().id == before.id
    assert again["version"] == summary["version"]
    assert again["points"] == summary["points"]
    other = dataclasses.replace(SETTINGS, frontier=dataclasses.replace(SETTINGS.frontier, seed=8))
    assert frontier.inputs_of(other, before, verified=False) != frontier.inputs_of(SETTINGS, before, verified=False)


def test_a_frontier_is_read_back_as_it_was(made: Lake, summary: dict[str, Any]) -> None:
    version = made.newest(kept.JOB)
    assert version is not None
    found = kept.read(made, version)
    assert isinstance(found, Frontier)
    assert [kept.figures(one) for one in found.points] == summary["points"]
    assert {name: value for name, value in kept.facts(found).items() if name != "notes"} == {
        name: value for name, value in version.summary["frontier"].items() if name != "notes"
    }
    assert found.machine["cores"]


def test_the_page_shows_all_of_it_and_escapes_what_comes_from_data(summary: dict[str, Any]) -> None:
    page = summary["page"]
    assert EVIL not in page
    assert "&lt;b onclick" in page
    for one in summary["points"]:
        assert one["name"] in page
    assert "<script" not in page
    assert page.count('class="dot ') >= len(summary["points"])


def test_a_student_whose_group_fell_is_refused_with_its_name_and_by_how_much(
    made: Lake, summary: dict[str, Any]
) -> None:
    """One pass over 60 pictures teaches next to nothing: it is at chance where its teacher is nearly always right."""
    teacher, *students = summary["points"]
    assert teacher["accuracy"]["value"] > 0.9
    for one in students:
        worst = max(one["groups"], key=lambda group: group["fall"]["value"])
        assert bool(one["refused"]) == (worst["fall"]["interval"]["low"] > 0.02)
    refused = {one["name"]: one["refused"] for one in students if one["refused"]}
    assert refused == summary["refused"]
    assert refused
    assert all(re.match(r"site .* falls by \d+\.\d points below the teacher \(", why) for why in refused.values())
    assert summary["passes"] is (summary["picked"] not in refused)


def test_the_command_exits_with_1_where_all_are_refused_and_0_where_the_margin_allows_it(
    made: Lake, summary: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secondlook.toml"
    lines = ["[train]", *_toml(SETTINGS.train), "[bias]", "min_cell = 15", "[frontier]", *_toml(SETTINGS.frontier)]
    file.write_text("\n".join(lines))
    command = ["frontier", "--lake", made.url, "--settings", str(file), "--as-of", str(summary["version"])]
    status = cli.run([*command, "--under", "1s"])
    told = capsys.readouterr()
    assert "nothing to measure" in told.err
    assert status == (0 if summary["picked"] not in summary["refused"] else 1)
    assert f"under 1s: {summary['picked']}" in told.out
    assert "the next is " in told.out
    assert "is refused: site" in told.out
    assert cli.run([*command, "--under", "1us"]) == 1
    assert "no student is under 1us" in capsys.readouterr().out
    assert cli.run([*command, "--under", "5"]) == 2
    assert "--under 5 has no unit" in capsys.readouterr().err


def _toml(section: Any) -> list[str]:
    return [f"{field.name} = {json.dumps(getattr(section, field.name))}" for field in dataclasses.fields(section)]


def test_a_wide_margin_refuses_nobody_and_in_clusters_only_their_classes_are_allowed(
    made: Lake, summary: dict[str, Any]
) -> None:
    """A cluster of both classes changes nothing; it is looked up under the teacher."""
    version = made.at()
    teacher = summary["points"][0]["model"]
    attempt = made.attempt("clusters", {"of": teacher})
    attempt.append("clusters", rows_of(teacher, [Cluster("both", ("across", "upright"))]))
    attempt.commit({})
    assert everyone.clusters_of(made, version, teacher) == []
    assert everyone.clusters_of(made, made.at(), teacher) == [("across", "upright")]
    wide = dataclasses.replace(SETTINGS, frontier=dataclasses.replace(SETTINGS.frontier, worst_group=1.0, attack=0))
    found = measure.measured(made, made.at(), wide, torch.device("cpu"), verified=False)
    assert all(one.conditional == one.accuracy for one in found.points)
    assert not any(one.refused for one in found.students)
    assert frontier.passes(found, None)
    assert all(one.robust is None for one in found.points)
    assert found.attacked == 0


def test_a_version_without_students_or_without_verified_labels_says_what_to_do(lake: Lake, made: Lake) -> None:
    filler(lake)(pictures()[:20])
    with pytest.raises(UserError, match=r"has no student to measure; `secondlook distill` makes some"):
        frontier.run(lake, SETTINGS)
    with pytest.raises(
        UserError, match=r"has no verified label in the split test; `secondlook review push --verify test`"
    ):
        frontier.run(made, SETTINGS, verified=True)
    held = held_out.load(lake, lake.at(), SETTINGS, verified=False)
    assert not held.held_out
    assert held.notes[0].startswith("no picture lies in the split test")


def test_who_taught_is_found_through_students_that_others_were_made_from(made: Lake, summary: dict[str, Any]) -> None:
    version, teacher = made.at(), summary["points"][0]["model"]
    known = {one.name: one for one in students_of.students(made, version)}
    for one in known.values():
        found = everyone.root(made, version, one.made_of, known)
        assert found is not None
        assert found.name == teacher
    circle = {"a": dataclasses.replace(next(iter(known.values())), made_of=("a",))}
    assert everyone.root(made, version, ("a",), circle) is None
    assert everyone.root(made, version, ("gone",), known) is None
    assert everyone.root(made, version, (), known) is None
