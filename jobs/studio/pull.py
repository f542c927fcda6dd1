"""Answers of the labeling tool become annotations, each exactly once in effect.

A pull reads, and then commits once: annotations, what was refused, and up to when each project was read. A kill at any
moment leaves the lake as it was, so the next pull begins from there; and what is read twice changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.versions import digest
from secondlook.jobs.people.pausing import after_pull
from secondlook.jobs.review.take import record
from secondlook.jobs.studio import changes, reading
from secondlook.jobs.studio.changes import Seen
from secondlook.jobs.studio.client import GoneError, Studio
from secondlook.jobs.studio.projects import Project, described, open_rows
from secondlook.labeling.studio.answers import TAMPERED, Batch, Refused, hear
from secondlook.labeling.studio.settle import settle
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import ConflictError

TRIES = 5  # another job of ours may commit meanwhile; then the tool is read again
TABLES = ("annotations", "projects", "refused_answers")
ADDED, CHANGED, DELETED = "submitted", "changed", "deleted"  # states of annotations

Advance = Callable[[int], None]


@dataclass
class Pulled:
    """What came of reading some projects, before it is committed."""

    annotations: list[dict[str, Any]] = field(default_factory=list)
    projects: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    answers: int = 0
    unusable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    vanished: list[str] = field(default_factory=list)
    elsewhere: dict[str, str] = field(default_factory=dict)


def run(
    lake: Lake,
    settings: Settings,
    studio: Studio,
    *,
    only: Collection[int] = (),
    full: bool = False,
    now: datetime | None = None,
    advance: Advance | None = None,
) -> dict[str, Any]:
    """Take what changed in the open projects since the last pull, in one commit; nothing new, no version.

    only: numbers of projects; empty: all that are open. full: compare all ids too, which finds what was deleted with its task.
    Returns answers (read), added, changed, deleted, known, refused (reason → how many that were not refused before), batches, projects, vanished, the version, and who was paused.
    Raises UnavailableError where the tool is away; then nothing was changed.
    """
    for left in reversed(range(TRIES)):
        try:
            when = now or datetime.now(UTC)
            summary = _once(lake, settings, studio, only, full, when, advance or (lambda _: None))
            return summary | {"paused": after_pull(lake, settings, when)}
        except ConflictError:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def _once(
    lake: Lake, settings: Settings, studio: Studio, only: Collection[int], full: bool, now: datetime, advance: Advance
) -> dict[str, Any]:
    version = lake.at()
    there = open_rows(lake, version)
    rows = [row for row in there if row["server"] == studio.url and (not only or row["project"] in only)]
    asked = lake.latest("batches", version)
    pulled = Pulled(elsewhere={row["batch"]: row["server"] for row in there if row["server"] != studio.url})
    if rows:
        people = changes.people(studio) if settings.label_studio.annotators == "email" else {}
        before = {row["origin"]: row for row in lake.latest("refused_answers", version).to_pylist()}
        for project in described(lake, version, rows, asked):
            try:
                seen = (reading.compared if full else reading.touched)(studio, project, settings)
            except GoneError:
                pulled.vanished.append(project.batch)
            else:
                _take(pulled, project, seen, project.understood(people, studio.me), before, now)
            advance(1)
    return _commit(lake, version, studio, pulled, asked, now, len(rows))


def _take(
    pulled: Pulled,
    project: Project,
    seen: Seen,
    batch: Batch,
    before: Mapping[str, Mapping[str, Any]],
    now: datetime,
) -> None:
    said = [one for task in seen.tasks.values() for one in hear(task, batch)]
    heard = [one for one in said if not isinstance(one, Refused)]
    refused = [one for one in said if isinstance(one, Refused)]
    keep = {one.origin for one in refused if one.reason in TAMPERED}
    samples = {batch.samples[ticket] for ticket in seen.tickets if ticket in batch.samples}
    pulled.annotations += settle(project.batch, project.held, heard, samples, keep, project.prefix)
    pulled.answers += len(said)
    pulled.unusable += len(refused)
    for one in refused:
        known = before.get(one.origin)
        if known is None or (known["reason"], known["raw"]) != (one.reason, one.raw):
            pulled.reasons[one.reason] += 1
            pulled.refused.append({**one.__dict__, "batch": project.batch, "time": now})
    for origin in {one.origin for one in heard} & before.keys():
        if before[origin]["reason"] is not None:
            pulled.refused.append({**before[origin], "reason": None, "time": now})
    if seen.newest != project.row["cursor"]:
        pulled.projects.append({**project.row, "cursor": seen.newest, "time": now})


def _commit(
    lake: Lake, version: Version, studio: Studio, pulled: Pulled, asked: pa.Table, now: datetime, projects: int
) -> dict[str, Any]:
    states = Counter(row["state"] for row in pulled.annotations)
    summary: dict[str, Any] = {
        "answers": pulled.answers,
        "added": states[ADDED],
        "changed": states[CHANGED],
        "deleted": states[DELETED],
        "known": pulled.answers - pulled.unusable - states[ADDED] - states[CHANGED],
        "refused": dict(pulled.reasons.most_common(20)),
        "batches": sorted({row["batch"] for row in pulled.annotations}),
        "projects": projects,
        "vanished": sorted(pulled.vanished),
        "elsewhere": pulled.elsewhere,
        "version": None,
    }
    if not pulled.annotations and not pulled.refused:
        return summary
    rows = [{name: str(value) for name, value in row.items()} for row in [*pulled.annotations, *pulled.refused]]
    inputs = {
        "server": studio.url,
        "rows": digest({"rows": rows}),
        "tables": {t: version.tables.get(t) for t in TABLES},
    }
    beside = {"projects": pulled.projects, "refused_answers": pulled.refused}
    return record(lake, version, pulled.annotations, summary, inputs=inputs, now=now, asked=asked, beside=beside)
