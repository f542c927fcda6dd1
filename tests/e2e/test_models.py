"""The chain of models by the command line, on digits: train, clusters, specialists, distill, frontier, clean, train, distill, helped."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from secondlook.jobs.cli import run
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake

SETTINGS = """
[train]
backbone = "resnet:8"
image_px = 16
folds = 2
refits = 0
epochs = 6
batch = 64
flip = false
threads = 1
[clusters]
draws = 3
[specialists]
epochs = 1
confidence = 0.5
[distill]
students = "quick:4,quick:8"
epochs = 3
[frontier]
worst_group = 0.9
attacked = 40
repeats = 6
"""
LOOK_ALIKES = {"4": "9", "9": "4", "3": "8", "8": "3", "1": "7", "7": "1"}  # wrong labels that confuse a model


def pictures(home: Path) -> None:
    """700 digits below pictures/, and their labels: those of a third of the look-alikes are wrong in given.csv, right in cleaned.csv."""
    from sklearn.datasets import load_digits

    ink, classes = load_digits(return_X_y=True)
    chosen = np.random.default_rng(5).permutation(len(ink))[:700]
    (home / "pictures").mkdir()
    rows = []
    for place, at in enumerate(chosen.tolist()):
        grey = (235 - ink[at].reshape(8, 8) * 13).astype(np.uint8)
        Image.fromarray(grey).resize((16, 16), Image.Resampling.BICUBIC).save(home / "pictures" / f"{place:03d}.png")
        right = str(classes[at])
        split = "test" if place < 250 else "train"
        wrong = LOOK_ALIKES.get(right, right) if split == "train" and place % 5 < 2 else right
        facts = {"file": f"{place:03d}.png", "split": split, "site": "north" if place % 2 else "south"}
        rows.append(facts | {"given": "" if place >= 650 else wrong, "cleaned": "" if place >= 650 else right})
    for name in ("given", "cleaned"):
        with (home / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["file", "label", "split", "site"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(row | {"label": row[name]} for row in rows)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("models")
    pictures(folder)
    (folder / "secondlook.toml").write_text(SETTINGS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def told(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, Any]:
    """What a command says in its one line of JSON."""
    assert run([*words, "--json"]) == status, f"secondlook {' '.join(words)}: {capsys.readouterr().err}"
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1
    assert "Traceback" not in printed.err
    return dict(json.loads(printed.out))


@pytest.mark.usefixtures("spark")
def test_the_chain_from_pictures_to_a_student_that_cleaning_helped(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = ("--split-column", "split", "--attributes", "site")
    told(capsys, "ingest", "pictures", "--labels", "given.csv", *columns)
    general = told(capsys, "train")
    assert "helped" not in general, "it is the first"
    confused = told(capsys, "clusters", "--output", "clusters.html")
    held = [set(one["classes"]) for one in confused["clusters"]]
    assert any(pair <= one for one in held for pair in ({"4", "9"}, {"3", "8"}, {"1", "7"})), held
    assert told(capsys, "specialists")["generalist"] == general["model"]
    taught = told(capsys, "distill")
    assert taught["teacher"]["model"] == general["model"]
    students = [one["model"] for one in taught["students"]]
    assert len(students) == 4, "two nets, each in float32 and int8"
    picked = told(capsys, "frontier", "--under", "5s,2MB", "--output", "frontier.html")
    assert picked["picked"] in students
    assert "</html>" in (home / "frontier.html").read_text(encoding="utf-8")
    told(capsys, "distill", "--export", "phone", "--student", picked["picked"])
    assert list((home / "phone").rglob("*.onnx"))

    told(capsys, "ingest", "pictures", "--labels", "cleaned.csv", *columns)
    better = told(capsys, "train")
    said = better["helped"]
    assert (said["before"], said["after"], said["on"], said["differ"]) == (
        general["model"],
        better["model"],
        "test",
        [],
    )
    assert said["sentence"].startswith("helped: +")
    assert said["overall"]["interval"][0] > 0
    again = told(capsys, "distill")["helped"]
    assert {one["before"] for one in again.values()} == set(students), "each student beside its earlier self"
    assert told(capsys, "helped")["overall"] == said["overall"]
    assert told(capsys, "train")["helped"] == said, "done before, and said again"

    lake = Lake("lake")
    newest = lake.at()
    assert dataset.newest_model(lake, newest).name == better["model"], "neither student nor specialists take its place"
    assert run(["lint", "--json"]) in (0, 1)
    capsys.readouterr()
    told(capsys, "report", "--output", "report.html")
    told(capsys, "export", "patch.csv")
    going = told(capsys, "forget", "500.png", "--dry-run")["models"]
    assert {*students, *again, general["model"], better["model"]} <= set(going)
