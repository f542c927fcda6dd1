"""A recorded batch goes to its project in the labeling tool: exactly once in effect, however often and wherever it was interrupted.

The batch stands in the lake before the first word to the server. Its project carries a mark that follows from the batch, so a
project that was made by a run that died is found again and no second one is made. Tasks carry their sample_id, so what is
there is known by looking; duplicates that a time-out may have left, of which nobody knows, are removed at the end.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.review.queue import guesses
from secondlook.jobs.share.adjudicated import STRATEGY as AUDIT
from secondlook.jobs.studio import pictures, references
from secondlook.jobs.studio.client import GoneError, Studio
from secondlook.jobs.studio.pictures import Place
from secondlook.jobs.terminal.console import progress, say
from secondlook.labeling.studio import tasks as task_json
from secondlook.labeling.studio.config import closed, screen
from secondlook.labeling.studio.tasks import Option
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UnavailableError, UserError, unknown

LISTED = 500  # tasks in a page of what is there
MAKER = "Made by secondlook."
INSTRUCTION = (
    "<p>One answer a picture. Press the number of a choice, or <b>0</b> none of these, <b>u</b> unsure, <b>b</b> bad picture; "
    "then Submit (Ctrl+Enter). After <i>none of these</i> the list of all classes appears.</p>"
)


@dataclass(frozen=True)
class Plan:
    """What a batch asks, as it is sent.

    rows: of the table `batches`, in the batch's order. contents: sample_id → content_id. options: for each class of the batch
    as it was recorded, its code and today's name. few: whether tasks have choices of their own beside the full list.
    """

    batch: str
    mark: str
    rows: Sequence[Mapping[str, Any]]
    contents: Mapping[str, str]
    options: Mapping[str, Option]
    today: Mapping[str, str]


def send(lake: Lake, settings: Settings, studio: Studio, batch: str, *, show_guess: bool = False) -> dict[str, Any]:
    """Send a batch to its project, or go on with it. Returns batch, project, url, tasks, sent (now), pictures, lost, version.

    Afterwards the server has exactly one project for the batch and in it one task for each sample, in the batch's order.
    Raises UserError for an unknown batch or a project of another server, UnavailableError where the server is away: then call it again.
    """
    version = lake.at()
    plan = plan_of(lake, version, batch)
    if show_guess and any(row["strategy"] == AUDIT for row in plan.rows):
        raise UserError(f"{batch} is of an audit, whose answers are worth something only without --show-guess")
    project, fresh = _project(lake, studio, plan)
    there = defaultdict(list) if fresh else listed(studio, project)
    place = pictures.place(studio, project, settings.label_studio, f"secondlook-{plan.mark}")
    lost: dict[str, str] = {}
    sent = _import(lake, version, settings, studio, plan, project, place, there, lost, show_guess=show_guess)
    n = _settle(studio, project, plan, there, lost)
    _open(studio, project, plan, show_guess=show_guess)
    made = _record(lake, studio, batch, project, "sent", n)
    for sample, reason in sorted(lost.items())[:5]:
        say(f"{sample} was not sent: its picture is {reason}", style="yellow")
    return {
        "batch": batch,
        "project": project,
        "url": f"{studio.url}/projects/{project}",
        "tasks": n,
        "sent": sent,
        "lost": len(lost),
        "version": made,
    }


def plan_of(lake: Lake, version: Version, batch: str) -> Plan:
    """What a batch asks; raises UserError where there is none of this name."""
    asked = lake.latest("batches", version)
    rows = sorted(asked.filter(pc.equal(asked["batch"], batch)).to_pylist(), key=lambda row: int(row["position"]))
    if not rows:
        raise unknown("batch", batch, pc.unique(asked["batch"]).to_pylist())
    samples = lake.latest("samples", version, ["sample_id", "content_id"])
    wanted = pa.array([row["sample_id"] for row in rows], pa.string())
    samples = samples.filter(pc.is_in(samples["sample_id"], value_set=wanted))
    contents = {row["sample_id"]: row["content_id"] for row in samples.to_pylist() if row["content_id"]}
    classes = read_classes(lake, version)
    today: dict[str, str] = {}
    for name in dict.fromkeys(choice for row in rows for choice in row["choices"] or ()):
        now = classes.listed.now(name)
        if now is not None and now not in today.values() and classes.concern(now) is None:
            today[name] = now
    options = [
        Option(task_json.code(name), text) for name, text in zip(today, task_json.shown([*today.values()]), strict=True)
    ]
    return Plan(batch, mark_of(lake, rows), rows, contents, dict(zip(today, options, strict=True)), today)


def mark_of(lake: Lake, rows: Sequence[Mapping[str, Any]]) -> str:
    """What tells the project of this batch of this lake from all others: it follows from what the lake recorded of the batch."""
    first = rows[0]
    told = [lake.url, first["batch"], str(first["time"]), *(row["sample_id"] for row in rows)]
    return hashlib.blake2b("\0".join(told).encode(), digest_size=8).hexdigest()


# The project


def _project(lake: Lake, studio: Studio, plan: Plan) -> tuple[int, bool]:
    """The project of the batch, made if there is none, recorded in `projects`; and whether it was made just now."""
    row = _recorded(lake, plan.batch)
    if row is not None and row["server"] != studio.url:
        raise UserError(f"{plan.batch} is in a project of {row['server']}, and [label_studio] url is {studio.url}")
    if row is not None and row["state"] == "archived":
        raise UserError(f"{plan.batch} was archived; push a new batch")
    if row is not None and _is_there(studio, row["project"]):
        return int(row["project"]), False
    found = _marked(studio, plan.mark)
    fresh = not found
    number = found[0] if found else _make(studio, plan)
    _record(lake, studio, plan.batch, number, "made", 0)
    return number, fresh


def _recorded(lake: Lake, batch: str) -> dict[str, Any] | None:
    rows = lake.latest("projects", lake.at())
    found: list[dict[str, Any]] = rows.filter(pc.equal(rows["batch"], batch)).to_pylist()
    return found[0] if found else None


def _is_there(studio: Studio, number: int) -> bool:
    try:
        studio.get(f"/api/projects/{number}/")
    except GoneError:
        return False
    return True


def _marked(studio: Studio, mark: str) -> list[int]:
    """Projects with this mark, oldest first."""
    found, page = [], 1
    while True:
        try:
            answer = studio.get("/api/projects/", page=page, page_size=100, include="id,description")
        except GoneError:  # the page after the last one
            return sorted(found)
        found += [int(one["id"]) for one in answer["results"] if mark in (one.get("description") or "")]
        if not answer.get("next"):
            return sorted(found)
        page += 1


def _make(studio: Studio, plan: Plan) -> int:
    people = max(int(row["people"] or 1) for row in plan.rows)
    project = {
        "title": plan.batch[:50],
        "description": f"{MAKER} Mark {plan.mark}",
        "label_config": closed(),
        "expert_instruction": INSTRUCTION,
        "maximum_annotations": people,
        "sampling": "Sequential sampling",
        "skip_queue": "REQUEUE_FOR_OTHERS",  # who was asked before is passed over: see task_json.asked_before
        "show_skip_button": False,  # there is `unsure`
        "enable_empty_annotation": False,
        "show_collab_predictions": False,
        "show_annotation_history": False,
    }
    try:
        return int(studio.post("/api/projects/", json=project)["id"])
    except UnavailableError:
        found = _marked(studio, plan.mark)  # it may have been made all the same
        if not found:
            raise
        return found[0]


def _open(studio: Studio, project: int, plan: Plan, *, show_guess: bool) -> None:
    """Let people answer: from now on the project shows the labeling screen."""
    classes = () if _all_offered(plan) else tuple(plan.options.values())
    config = screen(classes, show_guess=show_guess, few=_few(plan))
    if studio.get(f"/api/projects/{project}/")["label_config"] != config:
        studio.patch(f"/api/projects/{project}/", json={"label_config": config})


def _record(lake: Lake, studio: Studio, batch: str, project: int, state: str, n: int) -> int | None:
    """The project's state in `projects`; nothing where it is known. Its cursor stays."""
    row = _recorded(lake, batch)
    facts = {"batch": batch, "server": studio.url, "project": project, "state": state, "tasks": n}
    if row is not None and all(row[name] == value for name, value in facts.items()):
        return None
    base = lake.at()
    attempt = lake.attempt("review send", facts | {"after": row["seq"] if row else 0}, base=base)
    cursor = row["cursor"] if row is not None and row["project"] == project else None
    attempt.append("projects", rows_of("projects", [facts | {"cursor": cursor, "time": datetime.now(UTC)}]))
    return attempt.commit(facts).id


# The tasks


def listed(studio: Studio, project: int) -> defaultdict[str, list[tuple[int, int]]]:
    """What is there: sample_id → (task, its annotations) each."""
    found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    page, seen = 1, 0
    while True:
        facts = {"project": project, "page": page, "page_size": LISTED, "fields": "task_only", "resolve_uri": "false"}
        try:
            answer = studio.get("/api/tasks", include="id,data,total_annotations", **facts)
        except GoneError:
            return found
        for one in answer["tasks"]:
            found[str(one["data"].get("sample_id"))].append((int(one["id"]), int(one.get("total_annotations") or 0)))
        seen += len(answer["tasks"])
        if seen >= answer["total"] or not answer["tasks"]:
            return found
        page += 1


def _import(
    lake: Lake,
    version: Version,
    settings: Settings,
    studio: Studio,
    plan: Plan,
    project: int,
    place: Place,
    there: defaultdict[str, list[tuple[int, int]]],
    lost: dict[str, str],
    *,
    show_guess: bool,
) -> int:
    """Import what is not there, page by page, in the batch's order; returns how many."""
    left = [row for row in plan.rows if row["sample_id"] not in there]
    if not left:
        return 0
    bounds = pictures.limits(settings.ingest)
    beside = _beside(lake, version, settings, plan, place)
    told = guesses(lake, version, pa.array(sorted(set(plan.contents.values())), pa.string())) if show_guess else {}
    busy = _asked_before(lake, version, studio, plan)
    sent = 0
    with progress(f"sending {plan.batch}", len(left)) as advance:
        for start in range(0, len(left), settings.label_studio.page):
            page = left[start : start + settings.label_studio.page]
            urls = _shown(lake, version, plan, place, page, bounds, lost)
            made = []
            for row in page:
                sample = row["sample_id"]
                if sample not in urls:
                    continue
                guess = told.get(plan.contents[sample])
                words = f"{guess.classes[0]} ({guess.probability:.0%})" if guess else None if not show_guess else "none"
                one = task_json.task(plan.batch, sample, urls[sample], _offered(plan, row, beside), guess=words)
                if sample in busy:
                    one["annotations"] = [task_json.asked_before(user) for user in busy[sample]]
                made.append(one)
            sent += _import_page(studio, project, made, there)
            advance(len(page))
    return sent


def _import_page(
    studio: Studio, project: int, made: list[dict[str, Any]], there: defaultdict[str, list[tuple[int, int]]]
) -> int:
    """Import a page of tasks. After a time-out, look what is there and import the rest."""
    left, tried = made, 1
    while left:
        try:
            answer = studio.post(f"/api/projects/{project}/import", json=left, return_task_ids="true")
            for one, number in zip(left, answer["task_ids"], strict=True):
                there[one["data"]["sample_id"]].append((int(number), 0))
            return len(made)
        except UnavailableError:
            if tried == pictures.TRIES:
                raise
            tried += 1
            there.update(listed(studio, project))
            left = [one for one in left if one["data"]["sample_id"] not in there]
    return len(made)


def _shown(
    lake: Lake,
    version: Version,
    plan: Plan,
    place: Place,
    page: Sequence[Mapping[str, Any]],
    bounds: Any,
    lost: dict[str, str],
) -> dict[str, str]:
    """sample_id → URL of the pictures of a page, all of them there."""
    wanted = {row["sample_id"]: plan.contents.get(row["sample_id"], "") for row in page}
    for sample in [sample for sample, content in wanted.items() if not content]:
        lost[sample] = "gone from its source"
        del wanted[sample]
    stems = {name.rsplit(".", 1)[0]: name for name in place.urls}
    names = {sample: stems[sample] for sample in wanted if sample in stems}

    def files() -> Iterator[tuple[str, bytes]]:
        new = {sample: content for sample, content in wanted.items() if sample not in names}
        for sample, data, suffix in pictures.samples(lake, version, new, bounds, lost):
            names[sample] = sample + suffix
            yield names[sample], data

    place.put(files())
    return {sample: place.urls[name] for sample, name in names.items()}


def _offered(plan: Plan, row: Mapping[str, Any], beside: Mapping[str, Sequence[str]]) -> list[Option]:
    """The few choices of a task, with their reference pictures; all of them where it has none of its own and they are few."""
    few = row["options"] or (plan.options if _few(plan) else ())
    names = [name for name in few if name in plan.options]
    return [
        Option(plan.options[name].code, plan.options[name].text, tuple(beside.get(plan.today[name], ())))
        for name in names
    ]


def _few(plan: Plan) -> bool:
    """Whether a task shows choices of its own: those of its row, or all classes where there are few."""
    return len(plan.options) <= MANY or all(row["options"] for row in plan.rows)


def _all_offered(plan: Plan) -> bool:
    """Whether each task offers all classes, so that there is no list to open."""
    return _few(plan) and all(not row["options"] or set(plan.options) <= set(row["options"]) for row in plan.rows)


MANY = 20  # classes that are offered at once where a batch names no few of its own


def _beside(lake: Lake, version: Version, settings: Settings, plan: Plan, place: Place) -> dict[str, list[str]]:
    """Today's class → URLs of its reference pictures."""
    n = settings.label_studio.references
    if n == 0:
        return {}
    asked = set(plan.contents.values())
    contents = references.chosen(lake, version, set(plan.today.values()), asked, n)
    every = [content for some in contents.values() for content in some]
    files = pictures.references(lake, version, every, pictures.limits(settings.ingest), plan.mark)
    place.put(files.values())
    return {name: [place.urls[files[one][0]] for one in some if one in files] for name, some in contents.items()}


def _asked_before(lake: Lake, version: Version, studio: Studio, plan: Plan) -> dict[str, list[int]]:
    """sample_id → who answered for the same picture in another batch, by their number in the tool: others are asked this time."""
    said = lake.latest("annotations", version, ["batch", "sample_id", "annotator", "state"])
    said = said.filter(pc.and_(pc.not_equal(said["state"], "deleted"), pc.not_equal(said["batch"], plan.batch)))
    if not said.num_rows:
        return {}
    users = {str(one["email"]).casefold(): int(one["id"]) for one in studio.get("/api/users/")}
    samples = lake.latest("samples", version, ["sample_id", "content_id"])
    content = dict(zip(samples["sample_id"].to_pylist(), samples["content_id"].to_pylist(), strict=True))
    by_content: dict[str, set[int]] = defaultdict(set)
    for row in said.to_pylist():
        user = users.get(row["annotator"].casefold())
        if user is not None and content.get(row["sample_id"]):
            by_content[content[row["sample_id"]]].add(user)
    found = {sample: sorted(by_content.get(one, ())) for sample, one in plan.contents.items()}
    return {sample: people for sample, people in found.items() if people}


def _settle(
    studio: Studio, project: int, plan: Plan, there: defaultdict[str, list[tuple[int, int]]], lost: Mapping[str, str]
) -> int:
    """Remove tasks that are there twice, and other projects of this batch that nobody answered in; returns how many tasks there are."""
    expected = len(plan.rows) - len(lost)
    n = int(studio.get(f"/api/projects/{project}/")["task_number"])
    if n != expected or any(len(some) > 1 for some in there.values()):
        n = 0
        for some in listed(studio, project).values():
            keep, *others = sorted(some, key=lambda one: (-one[1], one[0]))
            for number, answers in others:
                if not answers:
                    studio.delete(f"/api/tasks/{number}/")
            n += 1 + sum(answers > 0 for _, answers in others) * (keep[1] > 0)
    for other in _marked(studio, plan.mark):
        if other != project and not int(studio.get(f"/api/projects/{other}/")["total_annotations_number"]):
            studio.delete(f"/api/projects/{other}/")
    return n
