"""`review push` with a real Label Studio: chosen, recorded, sent; and what two people dispute goes to a third."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review import batches
from secondlook.labeling.studio import tasks as task_json
from secondlook.pipeline.core.config import ReviewSettings, Settings
from secondlook.pipeline.core.identity import content_id
from tests.jobs.conftest import filler

from .label_studio import LabelStudio, Person
from .sending import answer, next_task, train

CLASSES = ["ant", "bat", "cat", "dog", "eel", "fox", "gnu", "hen"]
Call = Callable[..., dict[str, Any]]


@pytest.fixture
def place(
    label_studio: LabelStudio, tmp_path: Path, picture: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> tuple[Lake, list[str]]:
    """A lake of 12 labeled pictures, of which the model doubts the first four; and the options that name it and the server."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.admin.token)
    lake = Lake(str(tmp_path / "lake"), create=True)
    known = [(f"{CLASSES[n % 8]}/{n}.png", CLASSES[n % 8], picture(n)) for n in range(12)]
    filler(lake)(known, CLASSES)
    thought = {content_id(data): CLASSES[(n + (1 if n < 4 else 0)) % 8] for n, (_, _, data) in enumerate(known)}
    train(lake, thought, CLASSES, sure=0.999)
    file = tmp_path / "s.toml"
    file.write_text(
        f'[label_studio]\nurl = "{label_studio.url}"\n[review]\nrandom_share = 0.0\noptions = 4\n', encoding="utf-8"
    )
    return lake, ["--lake", lake.root, "--settings", str(file)]


def call(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """A verb's line of JSON."""
    capsys.readouterr()
    assert command([*words, "--json"]) == 0, capsys.readouterr().err
    return dict(json.loads(capsys.readouterr().out))


def say(person: Person, project: int, name: str) -> bool:
    """A person answers the next task that the tool gives them; whether there is one for them."""
    task = next_task(person, project)
    if task is not None:
        answer(person, task, task_json.code(name))
    return task is not None


def answered(lake: Lake, name: str) -> set[str]:
    """The samples that a person answered."""
    rows = lake.latest("annotations", lake.at()).to_pylist()
    return {row["sample_id"] for row in rows if row["annotator"].startswith(name)}


def test_a_dispute_goes_to_somebody_else_in_the_next_batch(
    label_studio: LabelStudio, place: tuple[Lake, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    lake, at = place
    pushed = call(capsys, "review", "push", "--budget", "4", *at)
    project = pushed["studio"]["project"]
    assert (pushed["asked"], pushed["studio"]["tasks"], pushed["strategies"]) == (4, 4, {"doubted": 4})
    assert pushed["studio"]["url"] == f"{label_studio.url}/projects/{project}"
    ann, bob = (label_studio.sign_up(f"{name}@push.example") for name in ("ann", "bob"))
    shown = label_studio.admin.session.get("/api/tasks", params={"project": project, "fields": "all"}).text
    assert not [word for word in ("doubted", "strategy", "p_error", "gold") if word in shown]
    assert all(say(ann, project, "hen") for _ in range(4))
    call(capsys, "review", "pull", *at)
    given = {row["sample_id"]: row["label"] for row in lake.latest("labels", lake.at()).to_pylist()}
    assert "hen" not in {given[sample] for sample in answered(lake, "ann")}, "neither label nor model says hen"
    again = call(capsys, "review", "push", "--budget", "4", *at)
    assert again["strategies"] == {"again": 4}
    second = again["studio"]["project"]
    assert not say(ann, second, "hen"), "nobody is asked for the same picture twice"
    assert all(say(bob, second, "hen") for _ in range(4))
    assert call(capsys, "review", "push", "--budget", "4", *at)["asked"] == 0, "they wait to be pulled"
    call(capsys, "review", "pull", *at)
    assert answered(lake, "bob") == answered(lake, "ann")


def test_no_batch_is_recorded_where_the_server_is_away_and_an_interrupted_one_is_told_and_goes_on(
    label_studio: LabelStudio, place: tuple[Lake, list[str]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lake, at = place
    away = tmp_path / "away.toml"
    away.write_text('[label_studio]\nurl = "http://127.0.0.1:9"\n', encoding="utf-8")
    before = lake.at().id
    assert command(["review", "push", "--lake", lake.root, "--settings", str(away)]) == 3
    assert lake.at().id == before
    plain = Settings(review=ReviewSettings(random_share=0.0))
    killed = batches.run_push(lake, plain, budget=2, sending=True)["batch"]  # and then the process died
    capsys.readouterr()
    assert command(["review", "push", "--budget", "1", *at]) == 0
    told = capsys.readouterr()
    assert f"{killed} is not sent whole; `secondlook review push --batch {killed}` goes on with it" in told.err
    assert "answer it here: http" in told.out
    resumed = call(capsys, "review", "push", "--batch", killed, *at)
    assert (resumed["studio"]["tasks"], resumed["studio"]["sent"]) == (2, 2)
    assert call(capsys, "review", "push", "--batch", killed, *at)["studio"]["sent"] == 0
    assert batches.unfinished(lake, lake.at()) == []
