"""A small batch in a real Label Studio, made without `send`, and people who answer it: what tests of the pull share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lake.versions import SECRETS
from secondlook.jobs.studio import pull
from secondlook.jobs.studio.client import Studio, connect
from secondlook.jobs.studio.plan import mark_of
from secondlook.jobs.studio.token import Token
from secondlook.labeling.studio import tasks
from secondlook.labeling.studio.config import screen
from secondlook.labeling.studio.tasks import Option
from secondlook.labeling.tickets import tickets
from secondlook.pipeline.core.config import LabelStudioSettings, Settings
from tests.jobs.conftest import filler

from .label_studio import LabelStudio, Person

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLASSES = ("bird", "cat", "dog")


@dataclass
class Asked:
    """A batch that waits for answers: `task` gives the tool's task of each sample_id."""

    server: LabelStudio
    lake: Lake
    settings: Settings
    studio: Studio
    batch: str
    project: int
    task: dict[str, int]

    def say(self, person: Person, sample: str, label: str, **more: Any) -> int:
        """A person answers; the annotation's number. `label`: a class, or one of tasks.SPECIAL's codes."""
        answer = person.post(f"/api/tasks/{self.task[sample]}/annotations/", said(label) | more)
        return int(answer.raise_for_status().json()["id"])

    def change(self, person: Person, annotation: int, label: str, **more: Any) -> None:
        """A person corrects an answer."""
        person.patch(f"/api/annotations/{annotation}/", said(label) | more).raise_for_status()

    def take_back(self, person: Person, annotation: int) -> None:
        """A person deletes an answer."""
        headers = {"X-CSRFToken": person.cookies()["csrftoken"]}
        person.session.delete(f"/api/annotations/{annotation}/", headers=headers).raise_for_status()

    def pull(self, **options: Any) -> dict[str, Any]:
        """A pull of this lake."""
        return pull.run(self.lake, self.settings, self.studio, now=NOW, **options)

    def answers(self) -> dict[tuple[str, str], str | None]:
        """What holds: (sample_id, annotator) → label, or the answer where it has none."""
        return holding(self.lake)

    def close(self) -> None:
        """End the connections."""
        self.studio.close()
        self.lake.close()


def said(label: str, seconds: float = 4.0) -> dict[str, Any]:
    """What the labeling screen sends."""
    code = label if label in tasks.SPECIAL else tasks.code(label)
    result = {"from_name": tasks.ANSWER, "to_name": "image", "type": "choices", "value": {"choices": [code]}}
    return {"result": [result], "lead_time": seconds}


def holding(lake: Lake) -> dict[tuple[str, str], str | None]:
    """The answers of a lake that hold."""
    table = lake.latest("annotations", lake.at()).to_pylist()
    return {
        (row["sample_id"], row["annotator"]): row["label"] or row["answer"]
        for row in table
        if row["state"] != "deleted"
    }


def filled(at: Path, n: int = 6, classes: Sequence[str] = CLASSES) -> tuple[Lake, list[str]]:
    """A lake of n labeled pictures, and their sample_ids."""
    lake = Lake(str(at), create=True)
    pictures = [(f"{i}.png", classes[i % len(classes)], b"%d" % i) for i in range(n)]
    return lake, list(filler(lake)(pictures, classes).values())


def ask(
    server: LabelStudio, at: Path, n: int = 6, *, classes: Sequence[str] = CLASSES, **settings_of_tool: Any
) -> Asked:
    """A lake with a batch of n pictures in a project of the tool, under settings of [label_studio]."""
    lake, samples = filled(at, n, classes)
    settings = Settings(label_studio=LabelStudioSettings(**{"url": server.url} | settings_of_tool))
    studio = connect(settings, Token(server.admin.token))
    options = [Option(tasks.code(name), name) for name in classes]
    described = {"title": "batch-2", "description": mark_of(lake, queue(samples, classes))}
    made = server.admin.post("/api/projects/", described | {"label_config": screen(options)})
    project = int(made.raise_for_status().json()["id"])
    secret = lake.versions.secret()
    named = tickets(secret, "batch-2", samples)
    data = [
        tasks.task(secret, "batch-2", named[sample], f"/static/{n}.png", options) for n, sample in enumerate(samples)
    ]
    server.admin.post(f"/api/projects/{project}/import", data).raise_for_status()
    listed = server.admin.session.get("/api/tasks", params={"project": project, "page_size": 1000}).json()["tasks"]
    record(lake, queue(samples, classes), in_tool(settings, project, n))
    numbers = by_sample(lake, "batch-2", samples, listed)
    return Asked(server, lake, settings, studio, "batch-2", project, numbers)


def by_sample(lake: Lake, batch: str, samples: Iterable[str], listed: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The tool's task of each sample, given the tool's list."""
    samples_of = {ticket: sample for sample, ticket in tickets(lake.versions.secret(), batch, samples).items()}
    return {samples_of[one["data"]["ticket"]]: one["id"] for one in listed}


def queue(samples: Sequence[str], classes: Sequence[str] = CLASSES) -> list[dict[str, Any]]:
    """Rows of `batches` that ask for samples."""
    same = {"batch": "batch-2", "strategy": "SL101", "choices": list(classes), "time": NOW}
    return [same | {"sample_id": sample, "position": n} for n, sample in enumerate(samples)]


def record(lake: Lake, asked: Sequence[Mapping[str, Any]], project: Mapping[str, Any]) -> None:
    """Put a batch and its project into a lake."""
    attempt = lake.attempt("review push", {"batch": project["batch"]})
    attempt.append("batches", rows("batches", asked))
    attempt.append("projects", rows("projects", [project]))
    attempt.commit({})


def queued(at: Path, n: int, project: Mapping[str, Any], like: Lake) -> Lake:
    """Another lake of the same pictures, with the same batch in the same project, and the secret of `like`: so it knows its tasks."""
    lake, samples = filled(at, n)
    with lake.catalog.engine.begin() as connection:
        connection.execute(SECRETS.insert().values(lake=lake.url, secret=like.versions.secret().hex()))
    record(lake, queue(samples), project)
    return lake


def in_tool(settings: Settings, project: int, n: int) -> dict[str, Any]:
    """The row of `projects` that says where the batch is."""
    return {"batch": "batch-2", "server": settings.label_studio.url, "project": project, "state": "sent"} | {
        "tasks": n,
        "time": NOW,
    }


def api(person: Person, method: str, path: str, json: Any = None) -> httpx.Response:
    """Any other request of a person."""
    headers = {"X-CSRFToken": person.cookies()["csrftoken"]}
    return person.session.request(method, path, json=json, headers=headers).raise_for_status()
