"""The whole loop with a real Label Studio: push → two people answer → pull → commit → diff → blame → revert, by the commands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake

from .asking import api, by_sample, said
from .label_studio import LabelStudio


@pytest.fixture
def secondlook(
    label_studio: LabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Run a command on the test's lake; what it prints as JSON."""
    settings = tmp_path / "secondlook.toml"
    tool = f'[label_studio]\nurl = "{label_studio.url}"\nreferences = 0\n'
    settings.write_text(f'[lake]\nurl = "{tmp_path / "lake"}"\n[review]\nrandom_share = 0.0\n{tool}')
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.admin.token)

    def run(*words: str, status: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert command([*words, "--settings", str(settings), "--json"]) == status, capsys.readouterr().err
        out = capsys.readouterr().out
        assert label_studio.admin.token not in out
        return dict(json.loads(out)) if out.startswith("{") else {"lines": out}

    return run


def test_two_people_answer_and_a_batch_is_decided_and_taken_back(
    label_studio: LabelStudio, tmp_path: Path, picture: Callable[..., bytes], secondlook: Callable[..., dict[str, Any]]
) -> None:
    from tests.jobs.conftest import filler

    lake = Lake(str(tmp_path / "lake"), create=True)
    names = ("cat", "dog")
    pictures = [(f"{i}.png", None if i > 3 else names[i % 2], picture(i)) for i in range(6)]
    ids = filler(lake)(pictures, names)
    before = labels(lake)
    pushed = secondlook("review", "push", "--budget", "6")
    assert pushed["asked"] >= 2, pushed
    row = lake.latest("projects", lake.at()).to_pylist()[0]
    listed = label_studio.admin.session.get("/api/tasks", params={"project": row["project"], "page_size": 100}).json()
    tasks = by_sample(lake, pushed["batch"], before, listed["tasks"])
    ann, bob = label_studio.sign_up("ann.loop@example.com"), label_studio.sign_up("bob.loop@example.com")
    truth = {ids["4.png"]: "cat", ids["5.png"]: "dog"}
    assert truth.keys() <= tasks.keys()
    for sample, number in tasks.items():
        for person in (ann, bob):
            label = truth.get(sample, before[sample])
            person.post(f"/api/tasks/{number}/annotations/", said(str(label))).raise_for_status()
    pulled = secondlook("review", "pull")
    assert (pulled["added"], pulled["refused"]) == (2 * len(tasks), {})
    assert secondlook("review", "pull", "--reconcile")["version"] is None
    committed = secondlook("commit")
    assert committed["first"] == 2
    assert labels(lake) == before | truth
    told = secondlook("blame", "4.png")
    assert "ann.loop@example.com" in json.dumps(told)
    assert secondlook("diff", "head~1", "head")["differ"] == 2
    secondlook("revert", pushed["batch"])
    assert labels(lake) == before
    done = secondlook("review", "archive", pushed["batch"])
    assert (done["state"], done["finished"]) == ("archived", len(tasks))
    project = label_studio.admin.session.get(f"/api/projects/{row['project']}/").json()
    assert project["title"].startswith("[archived] ")
    api(label_studio.admin, "DELETE", f"/api/tasks/{next(iter(tasks.values()))}/")
    assert secondlook("review", "pull", "--reconcile")["projects"] == 0, "it is not asked any more"
    secondlook("review", "archive", pushed["batch"], "--remove")
    assert label_studio.admin.session.get(f"/api/projects/{row['project']}/").status_code == 404
    lake.close()


def labels(lake: Lake) -> dict[str, str | None]:
    table = dataset.samples(lake, lake.at())
    return dict(zip(table["sample_id"].to_pylist(), table["label"].to_pylist(), strict=True))
