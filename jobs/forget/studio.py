"""Forgotten pictures leave the labeling tool: their tasks with all answers, their files, and where they stood beside a choice."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.forget.work import Work
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


def run(settings: Settings, work: Work) -> dict[str, int]:
    """Delete what the tool has of the pictures; returns tasks and uploads (deleted), files (of folders of this machine).

    Raises UnavailableError where the server is away, UserError where no server is set up or it is another one: `--offline` leaves it.
    """
    counts = Counter({"tasks": 0, "uploads": 0, "files": 0})
    if not work.projects:
        return dict(counts)
    servers = {str(project["server"]) for project in work.projects}
    with contextlib.closing(connect(settings)) as studio:
        if other := sorted(servers - {studio.url}):
            raise UserError(
                f"pictures may be in Label Studio at {other[0]}, and [label_studio] url is {studio.url}; set it and run "
                "`secondlook forget --resume`, or leave them there with --offline"
            )
        for project in work.projects:
            counts.update(_project(settings, studio, project, work.contents))
    return dict(counts)


def _project(settings: Settings, studio: Studio, project: Mapping[str, Any], contents: Iterable[str]) -> Counter[str]:
    number, mark = int(project["project"]), str(project["mark"])
    named = {*project["tickets"], *(reference_name(content, mark) for content in contents)}
    counts: Counter[str] = Counter()
    with contextlib.suppress(GoneError):  # the project was deleted, and its tasks with it
        there = listed(studio, number) if project["tickets"] else {}
        for ticket in project["tickets"]:
            for task, _ in there.get(ticket, ()):
                studio.delete(f"/api/tasks/{task}/")
                counts["tasks"] += 1
        for one in studio.get(f"/api/projects/{number}/file-uploads", all="true"):
            match = _STEM.fullmatch(str(one["file"]))
            if match and match["stem"] in named:
                # The file first: the server's row is how it is found again by who runs this a second time.
                counts["files"] += (
                    _unlinked(Path(settings.label_studio.media, str(one["file"]))) if _media(settings) else 0
                )
                studio.delete(f"/api/import/file-upload/{one['id']}")
                counts["uploads"] += 1
    if settings.label_studio.folder:
        at = Path(settings.label_studio.folder) / f"secondlook-{mark}"
        for file in at.iterdir() if at.is_dir() else ():
            if file.name.split(".", 1)[0] in named:
                counts["files"] += _unlinked(file)
    return counts


def left(settings: Settings, work: Work, counts: Mapping[str, int]) -> list[str]:
    """What stays out of reach, in sentences."""
    if not counts.get("uploads") or _media(settings):
        return []
    stems = sorted({ticket for project in work.projects for ticket in project["tickets"]})
    some = ", ".join(f"*-{stem}.*" for stem in stems[:5]) + (" …" if len(stems) > 5 else "")
    return [
        f"Label Studio serves the {counts['uploads']:,} uploaded files no more but keeps them in its media folder: delete "
        f"upload/*/{some} there, or set [label_studio] media where this machine sees that folder"
    ]


def _media(settings: Settings) -> bool:
    return bool(settings.label_studio.media)


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
