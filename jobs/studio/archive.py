"""A batch whose answering is over: it is asked no more, and where told, its tasks and pictures leave the server."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.studio import pull
from secondlook.jobs.studio.client import GoneError, Studio
from secondlook.jobs.studio.plan import mark_of
from secondlook.jobs.studio.projects import ARCHIVED
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError, unknown

TITLE = "[archived] "


@dataclass(frozen=True)
class Left:
    """What the tool says of a project: tasks, and how many of them have all the answers that were asked for."""

    tasks: int
    finished: int


def run(
    lake: Lake,
    settings: Settings,
    studio: Studio,
    batch: str,
    *,
    unfinished: bool = False,
    remove: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Take the last answers of a batch, record that it is archived, and say so in the tool (`remove`: take it out of there).

    The lake first: a run that dies after that is finished by the next one. Returns batch, state, tasks, finished, removed, pulled (the
    summary of the last pull) and the version. Raises UserError for an unknown batch, and for one with tasks left unless `unfinished`.
    """
    row = _row(lake, batch)
    if row["server"] != studio.url:
        raise UserError(f"{batch} is in a project of {row['server']}, and [label_studio] url is {studio.url}")
    number = int(row["project"])
    left = _left(studio, number)
    if left is not None and left.finished < left.tasks and not unfinished and row["state"] != ARCHIVED:
        raise UserError(
            f"{left.tasks - left.finished:,} of {left.tasks:,} pictures of {batch} wait for an answer; "
            "--unfinished archives it all the same"
        )
    pulled = None
    if row["state"] != ARCHIVED:
        pulled = pull.run(lake, settings, studio, only=[number], full=True, now=now)
    version = _record(lake, batch, now or datetime.now(UTC))
    if left is not None:
        _tell(studio, number, remove=remove)
    if remove:
        _remove_pictures(lake, settings, batch, row["mark"])
    tasks = left or Left(0, 0)
    return {"batch": batch, "state": ARCHIVED, "tasks": tasks.tasks, "finished": tasks.finished} | {
        "removed": remove,
        "pulled": pulled,
        "version": version,
    }


def _row(lake: Lake, batch: str) -> Mapping[str, Any]:
    rows = lake.latest("projects", lake.at())
    found = rows.filter(pc.equal(rows["batch"], batch)).to_pylist()
    if not found:
        raise unknown("batch in Label Studio", batch, rows["batch"].to_pylist())
    return dict(found[0])


def _left(studio: Studio, number: int) -> Left | None:
    """None where the project is gone."""
    try:
        told = studio.get(f"/api/projects/{number}/")
    except GoneError:
        return None
    return Left(int(told["task_number"]), int(told["finished_task_number"]))


def _record(lake: Lake, batch: str, now: datetime) -> int | None:
    version = lake.at()
    row = dict(_row(lake, batch))
    if row["state"] == ARCHIVED:
        return None
    attempt = lake.attempt("review archive", {"batch": batch, "after": row["seq"]}, base=version)
    attempt.append("projects", rows_of("projects", [row | {"state": ARCHIVED, "time": now}]))
    return attempt.commit({"batch": batch}).id


def _remove_pictures(lake: Lake, settings: Settings, batch: str, mark: str | None) -> None:
    """The batch's own folder of local files; uploads lie in a folder of the server that only its admin reaches."""
    asked = lake.latest("batches", lake.at())
    rows = asked.filter(pc.equal(asked["batch"], batch)).sort_by("position").to_pylist()
    if settings.label_studio.folder and rows:
        name = f"secondlook-{mark or mark_of(lake, rows)}"
        shutil.rmtree(Path(settings.label_studio.folder) / name, ignore_errors=True)


def _tell(studio: Studio, number: int, *, remove: bool) -> None:
    path = f"/api/projects/{number}/"
    if remove:
        studio.delete(path)
        return
    title = str(studio.get(path)["title"])
    if not title.startswith(TITLE):
        studio.patch(path, {"title": (TITLE + title)[:50]})
