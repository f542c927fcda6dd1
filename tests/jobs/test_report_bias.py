"""`secondlook report --bias` on lakes of people who were made up: what lint finds is what the page says."""

import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from secondlook.jobs.cli import run as command
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import lint
from secondlook.jobs.report import bias
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.config import Settings

from .people_lake import CLASSES, People, put

FEW = Settings(bias=BiasSettings(permutations=200))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, People]:
    """Blue people's labels are wrong more often; of violet there are few, and many say nothing."""
    lake = Lake(str(tmp_path_factory.mktemp("people") / "lake"), create=True)
    made = People(1600, seed=4, races=("green", "blue", "grey", "", "violet"))
    made.race = np.where((made.race == 4) & (made.rng.random(made.n) < 0.985), 0, made.race)
    made.mislabel(np.where(made.group(race="blue"), 0.15, 0))
    made.write(lake)
    made.answer(
        lake,
        {"ann@example.org": lambda at: CLASSES[made.truth[at]], "bob": lambda at: CLASSES[made.truth[at]]},
        range(200),
    )
    return lake, made


@pytest.fixture(scope="module")
def written(
    people: tuple[Lake, People], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """The summary, the page and the figures."""
    folder = tmp_path_factory.mktemp("report")
    summary = bias.run(people[0], FEW, folder / "bias.html", figures=folder / "bias.json")
    return summary, (folder / "bias.html").read_text(), json.loads((folder / "bias.json").read_text())


def test_the_report_says_what_lint_finds(
    people: tuple[Lake, People], written: tuple[dict[str, Any], str, dict[str, Any]]
) -> None:
    summary, page, figures = written
    found = lint.listing(people[0], FEW, select=["SL4"])
    mine = {(one["rule"], one["measure"], tuple(one["group"].items())) for one in figures["findings"]}
    theirs = {
        (one.finding.rule, one.finding.evidence["measure"], tuple(one.finding.evidence["group"].items()))
        for one in found.findings
    }
    assert ("SL402", "label errors", (("race", "blue"),)) in mine
    assert mine <= theirs
    assert len(theirs) - len(mine) == summary["not_shown"]
    assert summary["findings"] == len(theirs)
    assert summary["clean"] is False
    assert "race: blue" in page
    figure = next(
        one
        for measure in figures["measures"]
        if measure["rule"] == "SL402"
        for one in measure["groups"]
        if one["group"] == {"race": "blue"}
    )
    evidence = next(
        one.finding.evidence for one in found.findings if one.finding.rule == "SL402" and one.finding.key == "race blue"
    )
    assert figure["raw"]["value"] == pytest.approx(evidence["raw"]["value"], abs=1e-6)
    assert figure["adjusted"] == pytest.approx(evidence["adjusted"], abs=1e-6)
    assert next(one["remedies"] for one in figures["findings"] if one["rule"] == "SL402") == evidence["next"]


def test_who_are_few_what_files_are_called_and_who_answered_stays_inside(
    written: tuple[dict[str, Any], str, dict[str, Any]],
) -> None:
    _, page, figures = written
    both = page + json.dumps(figures)
    assert "violet" not in both
    assert set(next(one for one in figures["attributes"] if one["name"] == "race")["groups"]) == {
        "blue",
        "grey",
        "(not said)",
    }
    doubted = next(one for one in figures["measures"] if one["rule"] == "SL402")
    assert {"race": "green"} not in [
        one["group"] for one in doubted["groups"]
    ]  # they would tell how many violet there are
    assert not re.search(r"\d{5}\.png", both)
    assert "ann@example.org" not in both
    assert "<img" not in page
    assert figures["not_shown"]["groups"]["race"] == 2


def test_what_changed_since_a_version_is_of_the_same_pictures(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"), create=True)
    made = People(900, seed=5)
    made.confuse(np.where(made.group(race="blue"), 0.4, 0))
    made.write(lake)
    before = lake.at()
    made.said, made.sure = made.given.copy(), np.full(made.n, 0.9)
    made.train(lake, "m2")
    summary = bias.run(lake, FEW, tmp_path / "bias.json", since=before, form="json")
    figures = json.loads((tmp_path / "bias.json").read_text())
    assert summary["since"] == figures["since"] == before.id
    blue = next(one for one in figures["changes"] if one["group"] == {"race": "blue"} and one["rule"] == "SL403")
    assert blue["helped"] is True
    assert blue["difference"]["interval"][0] > 0.2
    assert blue["n"] == int(made.group(race="blue").sum())


def test_pictures_come_on_demand(tmp_path: Path) -> None:
    """Doubted labels of the group, in color, without their keys."""
    lake = Lake(str(tmp_path / "lake"), create=True)
    made = People(700, seed=6)
    made.mislabel(np.where(made.group(race="blue"), 0.2, 0))
    made.write(lake)
    lint.run(lake, FEW)
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (30, 30, 3), np.uint8)).save(data, "PNG")
    put(
        lake,
        "more",
        images=[{"content_id": one, "image": {"bytes": data.getvalue(), "path": None}} for one in made.contents()],
    )
    page = tmp_path / "bias.html"
    bias.run(lake, FEW, page)
    assert "<img" not in page.read_text()
    bias.run(lake, FEW, page, with_images=True)
    shown = re.findall(r'<img src="data:image/png[^>]* alt="([^"]*)"', page.read_text())
    assert 1 <= len(shown) <= bias.THUMBNAILS * bias.MOST_PICTURED
    assert all(re.match("A picture of race: blue", text) for text in shown)
    assert "It is not for sharing." in page.read_text()
    assert not re.search(r"\d{5}\.png", page.read_text())


def test_the_exit_status_says_whether_there_is_more_than_allowed(
    people: tuple[Lake, People], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    root = people[0].root
    (tmp_path / "few.toml").write_text("[bias]\npermutations = 200\n")
    common = ["report", "--bias", "--lake", root, "--settings", "few.toml"]
    assert command([*common, "--json"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    said = json.loads(lines[0])
    assert (tmp_path / "bias.html").stat().st_size == said["bytes"]
    assert command([*common, "--fail-above", str(said["findings"])]) == 0
    assert f"{said['findings']} finding" in capsys.readouterr().out
    assert command([*common, "--format", "json"]) == 1
    assert json.loads((tmp_path / "bias.json").read_text())["version"] == said["version"]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--figures", "f.json"], "--figures goes with --bias"),
        (["--with-images"], "--with-images goes with --bias"),
        (["--format", "json"], "--format json goes with --bias"),
        (["--bias", "--format", "pdf"], "unknown format 'pdf'. Choose from: html, json"),
        (["--bias", "--since", "99"], "there is no version 99"),
        (["--bias", "--since", "head"], "a change is from an earlier version to a later one"),
        (["--bias", "--output", "nowhere/b.html"], "there is no folder .*nowhere"),
    ],
)
def test_mistakes_get_one_sentence_and_status_2(
    people: tuple[Lake, People],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    options: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(["report", "--lake", people[0].root, *options]) == 2
    said = capsys.readouterr().err
    assert re.search(sentence, said)
    assert "Traceback" not in said
    assert not list(tmp_path.glob("bias.*"))


def test_a_lake_without_attributes_is_a_mistake_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    lake = Lake(str(tmp_path / "lake"), create=True)
    People(40).write(lake, attributes=False, model=False)
    assert command(["report", "--bias", "--lake", lake.root]) == 2
    assert re.search("no attribute columns to compare by: .*columns of --labels", capsys.readouterr().err)
    assert not list(tmp_path.glob("bias.*"))


def test_where_nothing_could_be_compared_nothing_is_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    lake = Lake(str(tmp_path / "lake"), create=True)
    People(4).write(lake, model=False)
    assert command(["report", "--bias", "--lake", lake.root, "--json", "--figures", "b.json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["comparisons"], said["findings"], said["clean"]) == (0, 0, None)
    assert said["note"].startswith("Nothing was compared, so nothing can be said: ")
    summary = json.loads((tmp_path / "b.json").read_text())["summary"]
    assert "Nothing was compared, so nothing can be said" in summary[2]
    assert "Every measure" not in summary[2]
    assert command(["report", "--bias", "--lake", lake.root]) == 0
    assert "Nothing was compared, so nothing can be said" in re.sub(r"\s+", " ", capsys.readouterr().out)


def test_a_reference_shows_who_is_missing_and_the_same_page_comes_twice(
    people: tuple[Lake, People], tmp_path: Path
) -> None:
    reference = tmp_path / "reference.csv"
    reference.write_text("attribute,value,share\nrace,green,0.2\nrace,blue,0.2\nrace,grey,0.5\nrace,violet,0.1\n")
    settings = dataclasses.replace(FEW, bias=dataclasses.replace(FEW.bias, reference=str(reference)))
    pages = []
    for name in ("one.html", "two.html"):
        bias.run(people[0], settings, tmp_path / name, targets=tmp_path / "targets.csv")
        pages.append((tmp_path / name).read_text())
    assert pages[0] == pages[1]
    text = re.sub("[\u2068\u2069]", "", re.sub(r"<[^>]+>", "", pages[0]))
    assert re.search(
        r"race: grey has [\d.]+ % of the pictures .* where the reference says 50.0 %: [\d.]+ points less .* pictures are missing",
        text,
    )
    assert "violet" not in pages[0]
    targets = (tmp_path / "targets.csv").read_text().splitlines()
    assert any(re.match(r"share,share,race grey,\d+,0\.\d+,0\.5000,\d+,", line) for line in targets)
    assert any(
        re.match(r"share,share,race violet,,,", line) for line in targets
    )  # whom to look for, not how few there are
