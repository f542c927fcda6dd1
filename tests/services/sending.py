"""Batches in a lake that wait to be sent, and what a server shows of them: what tests of sending share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.studio.client import Studio, connect
from secondlook.jobs.studio.token import Token
from secondlook.labeling.studio import tasks
from secondlook.labeling.tickets import ticket
from secondlook.pipeline.core.config import LabelStudioSettings, Settings
from tests.jobs.conftest import filler

from .label_studio import LabelStudio, Person

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """As if the process ended here."""


class Struck(Studio):
    """A door behind which the n-th request that changes something is answered by `blow`, after the server did it."""

    writes = 0
    strike_at = 0
    blow: type[BaseException] = Killed

    def _once(self, method: str, path: str, **what: Any) -> Any:
        answer = super()._once(method, path, **what)
        if method != "GET":
            self.writes += 1
            if self.writes == self.strike_at:
                raise self.blow("struck")
        return answer


@dataclass
class Waiting:
    """A lake with pictures and its batches, and the door to the server."""

    server: LabelStudio
    lake: Lake
    settings: Settings
    studio: Studio
    samples: list[str]
    classes: Sequence[str]
    struck: list[Studio] = field(default_factory=list)

    def record(self, batch: str, samples: Sequence[str], **facts: Any) -> None:
        """A batch that asks for these samples, in this order; `facts`: further columns of all rows."""
        time = facts.pop("time", NOW)
        queue = [
            {"batch": batch, "sample_id": sample, "position": n, "strategy": "SL101", "choices": list(self.classes)}
            | {"time": time}
            | facts
            for n, sample in enumerate(samples)
        ]
        attempt = self.lake.attempt("review push", {"batch": batch}, base=self.lake.at())
        attempt.append("batches", rows("batches", queue))
        attempt.commit({})

    def tickets(self, batch: str, samples: Sequence[str]) -> list[str]:
        """What samples are called in the tool."""
        return [ticket(self.lake.versions.secret(), batch, sample) for sample in samples]

    def strike(self, at: int, blow: type[BaseException]) -> Struck:
        """A door that strikes once."""
        door = Struck(self.server.url, Token(self.server.admin.token), self.settings.label_studio)
        door.strike_at, door.blow = at, blow
        self.struck.append(door)
        return door

    def projects(self, batch: str) -> list[dict[str, Any]]:
        """The server's projects of a batch."""
        found = self.server.admin.session.get("/api/projects/", params={"page_size": 1000}).json()["results"]
        return [one for one in found if one["title"] == batch]

    def tasks(self, project: int) -> list[dict[str, Any]]:
        """The server's tasks of a project, by their numbers."""
        asked: dict[str, str | int] = {"project": project, "page_size": 1000, "fields": "all", "resolve_uri": "false"}
        found: list[dict[str, Any]] = self.server.admin.session.get("/api/tasks", params=asked).json()["tasks"]
        return sorted(found, key=lambda one: int(one["id"]))

    def close(self) -> None:
        """End all connections."""
        for door in (self.studio, *self.struck):
            door.close()
        self.lake.close()


@contextmanager
def waiting(
    server: LabelStudio,
    at: Path,
    known: Sequence[tuple[str, str | None, bytes]],
    classes: Sequence[str],
    **tool: Any,
) -> Iterator[Waiting]:
    """A lake of pictures (key, label, bytes) at a folder, and a connection under settings of [label_studio]."""
    lake = Lake(str(at), create=True)
    samples = list(filler(lake)(known, classes).values())
    settings = Settings(label_studio=LabelStudioSettings(**{"url": server.url} | tool))
    made = Waiting(server, lake, settings, connect(settings, Token(server.admin.token)), samples, classes)
    try:
        yield made
    finally:
        made.close()


def train(lake: Lake, of: dict[str, str], classes: Sequence[str], sure: float = 0.95) -> None:
    """A model that takes each content for a class (content → class) with this probability."""
    attempt = lake.attempt("train", {"of": of, "sure": sure}, base=lake.at())
    facts = {"model": "m", "kind": "generalist", "backbone": "small", "path": "", "settings": "{}", "metrics": "{}"}
    attempt.append("models", rows("models", [facts | {"classes": list(classes), "embedder": "m"}]))
    best = {content: [classes.index(name), (classes.index(name) + 1) % len(classes)] for content, name in of.items()}
    said = [{"content_id": content, "model": "m", "classes": two, "fold": 0} for content, two in best.items()]
    attempt.append("predictions", rows("predictions", [one | {"probs": [sure, 1 - sure]} for one in said]))
    attempt.commit({})


def next_task(person: Person, project: int) -> int | None:
    """The task that the labeling stream gives a person; None where there is none for them."""
    answer = person.session.get(f"/api/projects/{project}/next/")
    return int(answer.json()["id"]) if answer.status_code == 200 else None


def answer(person: Person, task: int, code: str) -> int:
    """What the labeling screen sends; the annotation's number."""
    value = {"from_name": tasks.ANSWER, "to_name": "image", "type": "choices", "value": {"choices": [code]}}
    said = person.post(f"/api/tasks/{task}/annotations/", {"result": [value], "lead_time": 3.0})
    return int(said.raise_for_status().json()["id"])
