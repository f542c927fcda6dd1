"""Forgotten pictures leave a real Label Studio: tasks, answers, uploads and files; the rest of a batch goes on as before."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.forget import forget
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.studio import archive, pull
from secondlook.jobs.studio.plan import plan_of
from secondlook.jobs.studio.send import send
from secondlook.labeling.studio import tasks
from secondlook.labeling.tickets import ticket
from secondlook.pipeline.core.config import LabelStudioSettings, Settings
from secondlook.pipeline.core.errors import UnavailableError, UserError
from secondlook.pipeline.core.identity import content_id
from tests.jobs.test_forget import seen

from .label_studio import LabelStudio, Person
from .sending import Waiting, answer, train, waiting

CLASSES = ("cat", "dog")
Begin = Callable[..., Waiting]


@pytest.fixture
def begin(
    label_studio: LabelStudio, tmp_path: Path, picture: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Begin]:
    """A lake of eight pictures with a model, and a batch that asks for the first four: `begin(**settings)`."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.admin.token)
    monkeypatch.setenv("FIFTYONE_DATABASE_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened: list[Any] = []

    def make(**tool: Any) -> Waiting:
        known = [(f"{CLASSES[i % 2]}/person-{i}.png", CLASSES[i % 2], picture(i)) for i in range(8)]
        context = waiting(label_studio, tmp_path / f"lake{len(opened)}", known, CLASSES, **tool)
        made = context.__enter__()
        opened.append(context)
        train(made.lake, {content_id(data): label for _, label, data in known}, CLASSES)
        made.record("batch-1", made.samples[:4], options=list(CLASSES))
        return made

    yield make
    for context in opened:
        context.__exit__(None, None, None)


def erase(made: Waiting, *keys: str, settings: Settings | None = None, **options: Any) -> dict[str, Any]:
    chosen = settings or made.settings
    return forget.run(made.lake, chosen, forget.plan(made.lake, chosen, keys), actor="me", **options)


def uploads(server: LabelStudio, project: int) -> list[Path]:
    return sorted((server.data / "media" / "upload" / str(project)).glob("*"))


def refused(person: Person, url: str) -> bool:
    """Whether a picture is shown no more: this server answers 500 where it misses the row of an upload."""
    shown = person.session.get(url)
    return shown.status_code in {404, 500} and not shown.headers["content-type"].startswith("image/")


def test_tasks_answers_and_uploads_go_and_the_rest_of_the_batch_goes_on(
    begin: Begin, label_studio: LabelStudio
) -> None:
    made = begin(media=str(label_studio.data / "media"))
    project = send(made.lake, made.settings, made.studio, "batch-1")["project"]
    anna = label_studio.sign_up("anna.forget@example.com")
    first, second, *_ = made.tasks(project)
    said = answer(anna, first["id"], tasks.code("cat"))
    kept = answer(anna, second["id"], tasks.code("dog"))
    pull.run(made.lake, made.settings, made.studio)
    mark = plan_of(made.lake, made.lake.at(), "batch-1").mark
    gone, stays = first["data"]["image"], second["data"]["image"]
    assert anna.session.get(gone).status_code == 200
    told = erase(made, "person-0.png")
    assert told["elsewhere"]["label_studio"] == {"tasks": 1, "uploads": 1, "files": 1, "kept": []}
    assert told["elsewhere"]["left"] == []
    mine = ticket(made.lake.versions.secret(), "batch-1", made.samples[0])
    left = made.tasks(project)
    assert mine not in json.dumps(left)
    assert [one["id"] for one in left] == [one["id"] for one in made.tasks(project)][:3]
    assert label_studio.admin.session.get(f"/api/annotations/{said}/").status_code == 404
    assert label_studio.admin.session.get(f"/api/annotations/{kept}/").status_code == 200
    assert anna.session.get(stays).status_code == 200
    assert refused(anna, gone)
    assert not [file for file in uploads(label_studio, project) if mine in file.name]
    assert len([file for file in uploads(label_studio, project) if "reference" not in file.name]) == 3
    again = send(made.lake, made.settings, made.studio, "batch-1")
    assert (again["project"], again["tasks"], again["sent"]) == (project, 3, 0), "it is found by its mark of before"
    assert plan_of(made.lake, made.lake.at(), "batch-1").mark == mark
    compared = pull.run(made.lake, made.settings, made.studio, full=True)
    assert (compared["added"], compared["deleted"], compared["refused"]) == (0, 0, {})
    assert [row["sample_id"] for row in made.lake.read("annotations", made.lake.at()).to_pylist()] == [made.samples[1]]
    done = archive.run(made.lake, made.settings, made.studio, "batch-1", unfinished=True)
    assert done["tasks"] == 3


def test_a_picture_beside_a_choice_goes_too(begin: Begin, label_studio: LabelStudio) -> None:
    """The sure pictures of a class stand beside its choice: person 4 to 7 are in no batch, and some of them are there."""
    made = begin()
    project = send(made.lake, made.settings, made.studio, "batch-1")["project"]
    anna = label_studio.sign_up("anna.beside@example.com")
    seen_there = [file.name for file in uploads(label_studio, project) if "reference" in file.name]
    assert len(seen_there) == 4
    told = erase(made, *(f"person-{n}.png" for n in (4, 5, 6, 7)))
    kept = sorted(f"upload/{project}/{name}" for name in seen_there)
    assert told["elsewhere"]["label_studio"] == {"tasks": 0, "uploads": 4, "files": 0, "kept": kept}
    assert all(refused(anna, f"/data/{name}") for name in kept)
    [left] = told["elsewhere"]["left"]
    assert "keeps them in its media folder" in left
    assert len(made.tasks(project)) == 4


def test_files_in_a_served_folder_go(begin: Begin, label_studio: LabelStudio) -> None:
    made = begin(pictures="folder", folder=str(label_studio.folder))
    project = send(made.lake, made.settings, made.studio, "batch-1")["project"]
    url = made.tasks(project)[0]["data"]["image"]
    anna = label_studio.sign_up("anna.served@example.com")
    assert anna.session.get(url).status_code == 200
    told = erase(made, "person-0.png")
    assert told["elsewhere"]["label_studio"] == {"tasks": 1, "uploads": 0, "files": 1, "kept": []}
    assert refused(anna, url)


def test_where_the_server_is_away_the_lake_is_clean_and_the_rest_is_done_later(
    begin: Begin, label_studio: LabelStudio
) -> None:
    made = begin()
    project = send(made.lake, made.settings, made.studio, "batch-1")["project"]
    root = Path(made.lake.root)
    away = Settings(label_studio=LabelStudioSettings(url="http://127.0.0.1:9"))
    with pytest.raises(UnavailableError, match="does not answer"):
        erase(made, "person-0.png", settings=away)
    needles = [b"person-0.png", made.samples[0].encode()]
    assert {one.split(":")[0] for one in seen(root, needles)} == {"forgetting.json"}
    with pytest.raises(UserError, match="no labeling server is named"):
        forget.resume(made.lake, Settings())
    assert len(made.tasks(project)) == 4
    told = forget.resume(Lake(str(root)), made.settings)
    assert told is not None
    assert told["elsewhere"]["label_studio"]["tasks"] == 1
    assert len(made.tasks(project)) == 3
    assert seen(root, needles) == []


def test_with_offline_it_says_what_may_be_there(begin: Begin) -> None:
    made = begin()
    project = send(made.lake, made.settings, made.studio, "batch-1")["project"]
    told = erase(made, "person-0.png", offline=True)
    assert "Label Studio was not asked" in told["elsewhere"]["left"][0]
    assert len(made.tasks(project)) == 4
    assert pull.run(made.lake, made.settings, made.studio, full=True)["refused"] == {}
