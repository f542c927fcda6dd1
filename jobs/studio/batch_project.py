"""The project of a batch: made once, found again by its mark, recorded in `projects`, opened when all of it is there."""

from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc

from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.studio.client import GoneError, Studio
from secondlook.jobs.studio.plan import Plan
from secondlook.labeling.studio.config import closed, screen
from secondlook.pipeline.core.errors import UnavailableError, UserError

LISTED = 100  # projects in a page
GUESS = "The model's guess is shown."
# Answers to a task while tasks come in: an import takes one with as many annotations as this for done, and counts the cancelled ones
# of who was asked before. Setting the right number afterwards makes the server count again, without them.
PLENTY = 1000
INSTRUCTION = (
    "<p>One answer for each picture. Press the number of a choice, or <b>0</b> none of these, <b>u</b> unsure, "
    "<b>b</b> bad picture; then Submit. After <i>none of these</i> the list of all classes appears.</p>"
)


def found_or_made(lake: Lake, studio: Studio, plan: Plan, *, show_guess: bool) -> tuple[int, bool]:
    """The project's number, recorded in the lake; and whether it was made just now.

    Raises UserError where the batch is in a project of another server, or was archived.
    """
    row = recorded(lake, plan.batch)
    if row is not None and row["server"] != studio.url:
        raise UserError(f"{plan.batch} is in a project of {row['server']}, and [label_studio] url is {studio.url}")
    if row is not None and row["state"] == "archived":
        raise UserError(f"{plan.batch} was archived; push a new batch")
    if row is not None and _is_there(studio, row["project"]):
        return int(row["project"]), False
    found = marked(studio, plan.mark)
    number = found[0] if found else _make(studio, plan, show_guess=show_guess)
    record(lake, studio, plan.batch, number, "made", 0)
    return number, not found


def guess_shown(studio: Studio, project: int, batch: str, *, asked: bool) -> bool:
    """Whether the project was begun with the guess shown: it stays so. Raises UserError where that is asked for later."""
    begun = GUESS in (studio.get(f"/api/projects/{project}/")["description"] or "")
    if asked and not begun:
        raise UserError(f"{batch} was begun without --show-guess; push a new batch for it")
    return begun


def recorded(lake: Lake, batch: str) -> dict[str, Any] | None:
    """The row of `projects` that holds for a batch."""
    rows = lake.latest("projects", lake.at())
    found: list[dict[str, Any]] = rows.filter(pc.equal(rows["batch"], batch)).to_pylist()
    return found[0] if found else None


def marked(studio: Studio, mark: str) -> list[int]:
    """Projects with this mark, oldest first."""
    found: list[int] = []
    page = 1
    while True:
        try:
            answer = studio.get("/api/projects/", page=page, page_size=LISTED, include="id,description")
        except GoneError:  # the page after the last one
            return sorted(found)
        found += [int(one["id"]) for one in answer["results"] if mark in (one.get("description") or "")]
        if not answer.get("next"):
            return sorted(found)
        page += 1


def record(lake: Lake, studio: Studio, batch: str, project: int, state: str, n: int) -> int | None:
    """The project's state in `projects`, with its cursor and mark as they are; the new version, None where all of it was known."""
    row = recorded(lake, batch)
    facts = {"batch": batch, "server": studio.url, "project": project, "state": state, "tasks": n}
    if row is not None and all(row[name] == value for name, value in facts.items()):
        return None
    attempt = lake.attempt("review send", facts | {"after": row["seq"] if row else 0}, base=lake.at())
    same = row is not None and row["project"] == project
    kept = {"cursor": row["cursor"] if row and same else None, "mark": row["mark"] if row else None}
    attempt.append("projects", rows_of("projects", [facts | kept | {"time": datetime.now(UTC)}]))
    return attempt.commit(facts).id


def shut(studio: Studio, project: int) -> None:
    """Let nobody answer while tasks come in; where answers are there already, it stays open."""
    known = studio.get(f"/api/projects/{project}/")
    wanted: dict[str, Any] = {"maximum_annotations": PLENTY}
    if not int(known["total_annotations_number"]):
        wanted["label_config"] = closed()
    if any(known[name] != value for name, value in wanted.items()):
        studio.patch(f"/api/projects/{project}/", json=wanted)


def opened(studio: Studio, project: int, plan: Plan, *, show_guess: bool) -> None:
    """Let people answer: from now on the project shows the labeling screen."""
    known = studio.get(f"/api/projects/{project}/")
    config = screen(plan.listed, show_guess=show_guess, few=plan.few)
    wanted = {"label_config": config, "maximum_annotations": _people(plan)}
    if any(known[name] != value for name, value in wanted.items()):
        studio.patch(f"/api/projects/{project}/", json=wanted)


def _people(plan: Plan) -> int:
    return max(int(row["people"] or 1) for row in plan.rows)


def without_twins(studio: Studio, project: int, mark: str) -> None:
    """Remove other projects of the same batch that nobody answered in: two senders at once, or an answer that came too late."""
    for other in marked(studio, mark):
        if other != project and not int(studio.get(f"/api/projects/{other}/")["total_annotations_number"]):
            studio.delete(f"/api/projects/{other}/")


def _is_there(studio: Studio, number: int) -> bool:
    try:
        studio.get(f"/api/projects/{number}/")
    except GoneError:
        return False
    return True


def _make(studio: Studio, plan: Plan, *, show_guess: bool) -> int:
    project = {
        "title": plan.batch[:50].ljust(3, "-"),  # 3 to 50 letters are allowed
        "description": f"Made by secondlook. Mark {plan.mark}." + (f" {GUESS}" if show_guess else ""),
        "label_config": closed(),
        "expert_instruction": INSTRUCTION,
        "maximum_annotations": PLENTY,
        "sampling": "Sequential sampling",
        "skip_queue": "REQUEUE_FOR_OTHERS",  # who was asked before is passed over: see labeling.studio.tasks.asked_before
        "show_skip_button": False,  # there is `unsure`
        "enable_empty_annotation": False,
        "show_collab_predictions": False,
        "show_annotation_history": False,
    }
    try:
        return int(studio.post("/api/projects/", json=project)["id"])
    except UnavailableError:
        found = marked(studio, plan.mark)  # it may have been made all the same
        if not found:
            raise
        return found[0]
