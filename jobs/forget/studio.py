"""Forgotten pictures leave the labeling tool: their tasks with all answers, their files, and where they stood beside a choice."""

import contextlib
import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.forget.work import Work, noted
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.studio.client import GoneError, Studio, connect
from secondlook.jobs.studio.pictures import reference_name
from secondlook.jobs.studio.plan import mark_of
from secondlook.jobs.studio.send import listed
from secondlook.labeling.tickets import tickets
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError

_STEM = re.compile(r"upload/\d+/[0-9a-f]{8}-(?P<stem>[\w-]+)\.\w+")


def projects(lake: Lake, version: Version, samples: Iterable[str]) -> list[dict[str, Any]]:
    """All projects that the lake knows of, as Work holds them: batch, server, project, mark, and the tickets of the samples there.

    Also those that ask for none of them: one of the pictures may stand beside a choice.
    """
    rows = [row for row in lake.latest("projects", version).to_pylist() if row["project"]]
    if not rows:
        return []
    asked = lake.latest("batches", version)
    wanted, secret = set(samples), lake.versions.secret()
    found = []
    for row in sorted(rows, key=lambda one: str(one["batch"])):
        queue = asked.filter(pc.equal(asked["batch"], row["batch"])).sort_by("position").to_pylist()
        if queue:
            mine = [task["sample_id"] for task in queue if task["sample_id"] in wanted]
            facts = {name: row[name] for name in ("batch", "server", "project")}
            named = sorted(tickets(secret, row["batch"], mine).values())
            found.append(facts | {"mark": row["mark"] or mark_of(lake, queue), "tickets": named})
    return found


def run(lake: Lake, settings: Settings, work: Work) -> dict[str, Any]:
    """Delete what the tool has of the pictures; returns tasks and uploads (deleted), files (of folders of this machine), and `kept`: names of
    files that the server keeps although it shows them no more.

    Raises UnavailableError where the server is away, UserError where no server is set up or it is another one: `--offline` leaves it.
    """
    counts = Counter({"tasks": 0, "uploads": 0, "files": 0})
    if not work.projects:
        return {**counts, "kept": []}
    servers = {str(project["server"]) for project in work.projects}
    with contextlib.closing(connect(settings)) as studio:
        if other := sorted(servers - {studio.url}):
            raise UserError(
                f"pictures may be in Label Studio at {other[0]}, and [label_studio] url is {studio.url}; set it and run "
                "`secondlook forget --resume`, or leave them there with --offline"
            )
        uploads = {id: file for project in work.projects for id, file in _uploads(studio, project, work.contents)}
        files = sorted({*work.uploads, *uploads.values()})
        noted(lake, dataclasses.replace(work, uploads=tuple(files)))  # the server's rows are the only list of them
        for project in work.projects:
            counts["tasks"] += _without_tasks(studio, project)
            counts["files"] += _without_files(settings, project, work.contents)
        for number in uploads:
            studio.delete(f"/api/import/file-upload/{number}")
            counts["uploads"] += 1
    media = settings.label_studio.media
    counts["files"] += sum(_unlinked(Path(media, file)) for file in files) if media else 0
    return {**counts, "kept": [] if media else files}


def _named(project: Mapping[str, Any], contents: Iterable[str]) -> set[str]:
    """What files of the pictures are called in a project, without suffixes."""
    return {*project["tickets"], *(reference_name(content, str(project["mark"])) for content in contents)}


def _uploads(studio: Studio, project: Mapping[str, Any], contents: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(number, name) of uploads; none where the project was deleted."""
    named = _named(project, contents)
    with contextlib.suppress(GoneError):
        for one in studio.get(f"/api/projects/{project['project']}/file-uploads", all="true"):
            match = _STEM.fullmatch(str(one["file"]))
            if match and match["stem"] in named:
                yield int(one["id"]), str(one["file"])


def _without_tasks(studio: Studio, project: Mapping[str, Any]) -> int:
    n = 0
    with contextlib.suppress(GoneError):
        there = listed(studio, int(project["project"])) if project["tickets"] else {}
        for ticket in project["tickets"]:
            for task, _ in there.get(ticket, ()):
                studio.delete(f"/api/tasks/{task}/")
                n += 1
    return n


def _without_files(settings: Settings, project: Mapping[str, Any], contents: Iterable[str]) -> int:
    """Delete those in a folder that the server serves."""
    at = Path(settings.label_studio.folder) / f"secondlook-{project['mark']}"
    named = _named(project, contents)
    if not settings.label_studio.folder or not at.is_dir():
        return 0
    return sum(_unlinked(file) for file in at.iterdir() if file.name.split(".", 1)[0] in named)


def left(counts: Mapping[str, Any]) -> list[str]:
    """What stays out of reach, in sentences."""
    kept = counts["kept"]
    if not kept:
        return []
    some = ", ".join(kept[:5]) + (f" and {len(kept) - 5:,} more" if len(kept) > 5 else "")
    return [
        f"Label Studio shows {len(kept):,} uploaded files no more but keeps them in its media folder: delete {some} there, or set "
        "[label_studio] media where this machine sees that folder"
    ]


def _unlinked(file: Path) -> int:
    try:
        file.unlink()
    except FileNotFoundError:
        return 0
    return 1


def asked(lake: Lake, version: Version, samples: Iterable[str]) -> list[str]:
    """The batches that ask for these samples."""
    rows = lake.latest("batches", version, ["batch", "sample_id"])
    mine = rows.filter(pc.is_in(rows["sample_id"], value_set=pa.array(sorted(samples), pa.string())))
    return sorted(set(mine["batch"].to_pylist()))
