"""What people said in the tool: a task with its annotations, as answers or as reasons why they can't be taken.

Nothing of a task is believed for being there: its picture must be one of the batch, its answer one of those that were
asked for. Mapping goes by what the task says of itself, never by its place in a list.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from secondlook.labeling.answers import LONGEST_S, Answer
from secondlook.labeling.studio import tasks
from secondlook.labeling.studio.settle import Heard
from secondlook.labeling.tickets import unbroken

RAW_CHARS = 2_000  # of a refused answer that are kept
OTHER_BATCH = "its task names another batch"
UNKNOWN_PICTURE = "its task names a picture that the batch did not ask for"
EDITED = "its task was changed after it was sent"
MOVED = "its task named another picture when it was first taken"
FORGED = "it was given in another's name"
NOBODY = "nobody's name is on it"
NO_TIME = "the tool does not say when it was given"
TAMPERED = frozenset({OTHER_BATCH, UNKNOWN_PICTURE, EDITED, MOVED, FORGED})  # what was taken before such a thing stays

Json = dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """An answer that can't be taken. `raw`: how it came, JSON, cut to RAW_CHARS."""

    origin: str
    sample_id: str | None
    annotator: str | None
    raw: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """What is needed to understand a batch's tasks.

    samples: ticket → sample. codes: for each sample, code → class of what may be answered. people: names of annotators by
    the tool's number. prefix: what the origins of its answers begin with. taken: origin → sample of the answers that are held.
    secret: the lake's, for the seals. owner: the tool's number of who sent it, who may answer for others.
    """

    name: str
    samples: Mapping[str, str]
    codes: Mapping[str, Mapping[str, str]]
    people: Mapping[int, str]
    prefix: str
    taken: Mapping[str, str]
    secret: bytes
    owner: int = 0


def ticket_of(task: Mapping[str, Any]) -> str | None:
    """The ticket of the sample that a task says it shows."""
    data = task.get("data")
    named = data.get("ticket") if isinstance(data, dict) else None
    return named if isinstance(named, str) else None


def author(annotation: Mapping[str, Any]) -> int | None:
    """The tool's number of who gave an answer; None where the account is gone."""
    by = annotation.get("completed_by")
    number = by.get("id") if isinstance(by, dict) else by
    return number if isinstance(number, int) else None


def moment(text: object) -> datetime | None:
    """A time as the tool writes it."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo else None


def hear(task: Mapping[str, Any], batch: Batch) -> list[Heard | Refused]:
    """Each annotation of a task that is an answer, or claims to be one. Skips are none."""
    found = [one for one in task.get("annotations") or () if isinstance(one, dict) and isinstance(one.get("id"), int)]
    return [_heard(task, one, batch) for one in found if not one.get("was_cancelled")]


def _heard(task: Mapping[str, Any], annotation: Json, batch: Batch) -> Heard | Refused:
    origin, sample_id = f"{batch.prefix}{annotation['id']}", batch.samples.get(ticket_of(task) or "")
    number, changed = author(annotation), moment(annotation.get("updated_at"))
    name = None if number is None else batch.people.get(number, f"user-{number}")
    said = tasks.read(annotation.get("result"), batch.codes.get(sample_id or "", {}))
    reason = _doubt(task, origin, sample_id, batch)
    if reason is None and isinstance(said, tasks.Refused):
        reason = said.reason
    if reason is None and name is None and origin not in batch.taken:
        reason = NOBODY
    if reason is None and _by_another(annotation, number, batch.owner):
        reason = FORGED
    if reason is None and changed is None:
        reason = NO_TIME
    if reason is not None or isinstance(said, tasks.Refused) or changed is None:
        return Refused(origin, sample_id, name, _raw(task, annotation), reason or NO_TIME)
    answer = Answer(name or "", str(sample_id), said.answer, said.label, _seconds(annotation.get("lead_time")))
    return Heard(answer, origin, annotation["id"], changed, named=number in batch.people)


def _doubt(task: Mapping[str, Any], origin: str, sample_id: str | None, batch: Batch) -> str | None:
    """Why the task itself can't be believed; None where it can."""
    data = task.get("data")
    if not isinstance(data, dict) or data.get("batch") != batch.name:
        return OTHER_BATCH
    if sample_id not in batch.codes:
        return UNKNOWN_PICTURE
    if not unbroken(batch.secret, data):
        return EDITED
    return MOVED if batch.taken.get(origin, sample_id) != sample_id else None


def _by_another(annotation: Json, author: int | None, owner: int) -> bool:
    """Whether somebody else than its author saved it last; who sent the batch may. Not told by all versions of the tool."""
    by = annotation.get("updated_by")
    number = by.get("id") if isinstance(by, dict) else by
    return isinstance(number, int) and author is not None and number not in (author, owner)


def _seconds(lead_time: object) -> float:
    value = float(lead_time) if isinstance(lead_time, int | float) else math.nan
    return value if 0 <= value <= LONGEST_S else math.nan


def _raw(task: Mapping[str, Any], annotation: Json) -> str:
    kept = {name: annotation.get(name) for name in ("id", "completed_by", "updated_at", "lead_time", "result")}
    data = task.get("data")
    named = {name: data.get(name) for name in ("batch", "ticket")} if isinstance(data, dict) else {}
    # ASCII: what comes may hold halves of surrogates, which no table takes
    return json.dumps({"task": task.get("id"), **named, **kept}, default=str)[:RAW_CHARS]
