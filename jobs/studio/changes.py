"""What a project of the tool has, read so that nothing is lost: changes since a time, a list of all answers, some tasks whole.

What was found in Label Studio 1.23 and holds this up:

* A task's `updated_at` moves when an answer of it is given, changed, skipped or deleted, and `updated_by` is set then; an
  import leaves `updated_by` empty. So "touched since" is a question that the Data Manager's filters answer.
* An answer and its task are saved by two statements and no transaction: a server that dies between them leaves an answer
  whose task looks untouched. And a deleted task is not there to be seen. So a list of all answers is compared now and then.
* Pages by number shift when tasks change between two of them. So a question that does not fit one page is cut into windows
  of task ids, each of which fits one; then no order of pages or of tasks in a page matters.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Protocol

from secondlook.jobs.studio.client import BrokenError
from secondlook.labeling.studio.answers import author, moment, ticket_of
from secondlook.pipeline.core.errors import UnavailableError

PAGE = 500  # tasks: half a second of the server's time, with their answers
AT_ONCE = 100  # ids in one question: they stand in its URL
WHOLE = "id,data,updated_at,updated_by,annotations,completed_by,result,was_cancelled,lead_time"
BRIEF = "id,updated_at,annotations,completed_by,was_cancelled"

Task = dict[str, Any]
Filter = dict[str, Any]


class Door(Protocol):
    """The one thing of `jobs.studio.client.Studio` that reading takes."""

    def get(self, path: str, **parameters: Any) -> Any:
        """The parsed JSON that the server answers to GET; raises GoneError on 404, UnavailableError when it is away."""


@dataclass(frozen=True)
class Brief:
    """An answer in the list of all: whose it is and when it was last changed, but not what it says."""

    task: int
    number: int
    changed: datetime | None
    cancelled: bool
    user: int | None


@dataclass(frozen=True)
class Seen:
    """What was read of a project: tasks by id, whole; tickets of samples all of whose answers are in them; when it was as of."""

    tasks: Mapping[int, Task]
    tickets: frozenset[str]
    newest: datetime | None


@dataclass(frozen=True)
class Page:
    """Some tasks that fit a question, and how many there were in all."""

    tasks: list[Task]
    total: int


def touched(
    door: Door, project: int, since: datetime | None, overlap_s: float
) -> tuple[dict[int, Task], datetime | None]:
    """The tasks that people touched since a time of the tool (None: ever), whole, by id; and the time to ask from next.

    That time is of the tool's own clock, taken before anything was read. It is asked from `overlap_s` before it, for what was saved
    late, by a server of several whose clock is behind, or between two statements of one question.
    """
    filters = [_filter("updated_by", "empty", "List", "False")]
    if since is not None:
        filters.append(
            _filter("updated_at", "greater_or_equal", "Datetime", _text(since - timedelta(seconds=overlap_s)))
        )
    first = _ask(door, project, filters, WHOLE, order="-tasks:updated_at")
    times = [time for time in (since, _newest(first)) if time is not None]
    return _all(door, project, filters, WHOLE, first), max(times, default=None)


def listed(door: Door, project: int) -> tuple[dict[int, Brief], datetime | None]:
    """All answers of a project by id, skipped ones too, in brief; and a time as `touched` tells it."""
    newest = _ask(
        door, project, [_filter("updated_by", "empty", "List", "False")], "id,updated_at", "-tasks:updated_at", 1
    )
    filters = [_filter("annotations_ids", "empty", "List", "False")]
    found: dict[int, Brief] = {}
    for task in _all(door, project, filters, BRIEF, _ask(door, project, filters, BRIEF)).values():
        for one in task["annotations"]:
            changed = moment(one["updated_at"])
            found[one["id"]] = Brief(task["id"], one["id"], changed, bool(one["was_cancelled"]), author(one))
    return found, _newest(newest)


def of_tasks(door: Door, project: int, ids: Collection[int], answered: int) -> dict[int, Task]:
    """The tasks of these ids that are there, whole; all that have answers where these are most of the `answered` ones."""
    if len(ids) > AT_ONCE and len(ids) > answered / 2:
        filters = [_filter("annotations_ids", "empty", "List", "False")]
        return _all(door, project, filters, WHOLE, _ask(door, project, filters, WHOLE))
    return _each(door, project, "id", sorted(ids))


def of_answers(door: Door, project: int, numbers: Iterable[int], tickets: Iterable[str]) -> dict[int, Task]:
    """The tasks that have one of these answers, and those that name one of these tickets, whole."""
    found = _each(door, project, "annotations_ids", sorted(set(numbers)))
    return found | _each(door, project, "data.ticket", sorted(set(tickets)))


def completed(
    door: Door, project: int, tasks: Mapping[int, Task], lost: Mapping[int, str], newest: datetime | None
) -> Seen:
    """What was read, and with it all that the project still has of answers that should have been there and were not.

    lost: tickets of held answers by the tool's id of each. An answer that is gone may have left another of the same person for the same
    picture, so the picture's tasks are all read.
    """
    found = dict(tasks) | (of_answers(door, project, lost, lost.values()) if lost else {})
    named = {ticket for task in found.values() if (ticket := ticket_of(task)) is not None}
    return Seen(found, frozenset({*lost.values(), *named}), newest)


def is_of(door: Door, project: int, mark: str) -> bool:
    """Whether a project is the one that was made for a batch: its description has the batch's mark (jobs/studio/send.py)."""
    return mark in str(door.get(f"/api/projects/{project}/").get("description"))


def people(door: Door) -> dict[int, str]:
    """Annotators by the tool's number of each: their e-mail address in lower case."""
    named = ((one.get("id"), str(one.get("email") or "").strip().lower()) for one in door.get("/api/users"))
    return {number: email for number, email in named if isinstance(number, int) and email}


def _each(door: Door, project: int, field: str, values: Sequence[Any]) -> dict[int, Task]:
    found: dict[int, Task] = {}
    for start in range(0, len(values), AT_ONCE):
        some = list(values[start : start + AT_ONCE])
        by_text = field == "annotations_ids"  # the one list that the tool takes as text
        value = ",".join(map(str, some)) if by_text else some
        filters = [_filter(field, "contains" if by_text else "in_list", "List", value)]
        found |= _all(door, project, filters, WHOLE, _ask(door, project, filters, WHOLE))
    return found


def _all(door: Door, project: int, filters: Sequence[Filter], fields: str, first: Page) -> dict[int, Task]:
    """All tasks that fit the filters, given the first page: window by window of their ids where that is not all."""
    found = {task["id"]: task for task in first.tasks}
    if first.total <= len(first.tasks):
        return found
    ends = [task["id"] for by in ("tasks:id", "-tasks:id") for task in _ask(door, project, filters, "id", by, 1).tasks]
    ends += found
    windows = _parts(min(ends, default=0) - 1, max(ends, default=0), first)
    while windows:
        above, upto = windows.pop()
        bounds = [_filter("id", "greater", "Number", str(above)), _filter("id", "less_or_equal", "Number", str(upto))]
        page = _ask(door, project, [*filters, *bounds], fields)
        found |= {task["id"]: task for task in page.tasks}
        if page.total > len(page.tasks) and upto - above > 1:  # more than fits
            windows += _parts(above, upto, page)
    return found


def _parts(above: int, upto: int, page: Page) -> list[tuple[int, int]]:
    """Windows (above, upto] of ids, each of which has about as many tasks as the page that should have shown all; two at least."""
    n = max(page.total * 10 // (max(len(page.tasks), 1) * 9) + 1, 2)
    step = max((upto - above) // n, 1)
    return list(pairwise([*range(above, upto, step), upto]))


def _newest(page: Page) -> datetime | None:
    times = [moment(task["updated_at"]) for task in page.tasks]
    return max((time for time in times if time is not None), default=None)


def _ask(
    door: Door, project: int, filters: Sequence[Filter], fields: str, order: str = "tasks:id", size: int = PAGE
) -> Page:
    query = {"filters": {"conjunction": "and", "items": list(filters)}, "ordering": [order]}
    parameters = {"project": project, "page_size": size, "fields": "all", "resolve_uri": "false"}
    try:
        answer = door.get("/api/tasks", query=json.dumps(query), include=fields, **parameters)
    except BrokenError:
        # An endless lead_time, which any annotator can send, is saved and can't be read ever after: the rest can.
        rest = ",".join(name for name in fields.split(",") if name != "lead_time")
        answer = door.get("/api/tasks", query=json.dumps(query), include=rest, **parameters)
    try:
        return Page([task for task in answer["tasks"] if isinstance(task["id"], int)], int(answer["total"]))
    except (TypeError, KeyError, ValueError):
        raise UnavailableError(
            f"Label Studio lists the tasks of project {project} in a way that is not known"
        ) from None


def _filter(field: str, operator: str, kind: str, value: Any) -> Filter:
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": kind, "value": value}


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
