"""A recorded batch goes to its project in the labeling tool: exactly once in effect, however often and wherever it was interrupted.

The batch stands in the lake before the first word to the server. Its project carries a mark that follows from the batch, so a
project that was made by a run that died is found again and no second one is made. Tasks carry their sample's ticket, so what is
there is known by looking; duplicates that a time-out may have left are removed at the end. Nobody can answer before that.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.review.queue import guesses
from secondlook.jobs.share.adjudicated import STRATEGY as AUDIT
from secondlook.jobs.studio import batch_project as projects
from secondlook.jobs.studio import changes, pictures, references
from secondlook.jobs.studio.client import GoneError, Studio
from secondlook.jobs.studio.pictures import Place
from secondlook.jobs.studio.plan import Plan, mark_of, plan_of
from secondlook.jobs.terminal.console import progress, say
from secondlook.labeling.studio import tasks
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UnavailableError, UserError

__all__ = ["mark_of", "plan_of", "send"]

LISTED = 500  # tasks in a page of what is there
TRIES = 4  # imports of a page

There = defaultdict[str, list[tuple[int, int]]]  # ticket → (task, how many annotations) of each of its tasks


def send(lake: Lake, settings: Settings, studio: Studio, batch: str, *, show_guess: bool = False) -> dict[str, Any]:
    """Send a batch to its project, or go on with it. Returns batch, project, url, tasks, sent (now), lost, version.

    Afterwards the server has exactly one project for the batch and in it one task for each sample, in the batch's order.
    Raises UserError for an unknown batch or a project of another server, UnavailableError where the server is away: then call it again.
    """
    version = lake.at()
    plan = plan_of(lake, version, batch)
    if show_guess and any(row["strategy"] == AUDIT for row in plan.rows):
        raise UserError(f"{batch} is of an audit, whose answers are worth something only without --show-guess")
    project, fresh = projects.found_or_made(lake, studio, plan, show_guess=show_guess)
    show_guess = projects.guess_shown(studio, project, batch, asked=show_guess)
    there = There(list) if fresh else listed(studio, project)
    sending = _Sending(lake, version, settings, studio, plan, project, there)
    sent = sending.run(show_guess=show_guess)
    n = _settle(studio, project, len(plan.rows) - len(sending.lost), there)
    projects.without_twins(studio, project, plan.mark)
    projects.opened(studio, project, plan, show_guess=show_guess)
    made = projects.record(lake, studio, batch, project, "sent", n)
    for sample, reason in sorted(sending.lost.items())[:5]:
        say(f"{sample} was not sent: its picture is {reason}", style="yellow")
    url = f"{studio.url}/projects/{project}"
    return {"batch": batch, "project": project, "url": url, "tasks": n, "sent": sent} | {
        "lost": len(sending.lost),
        "version": made,
    }


def listed(studio: Studio, project: int) -> There:
    """What is there."""
    found = There(list)
    page, seen = 1, 0
    while True:
        facts = {"project": project, "page": page, "page_size": LISTED, "fields": "task_only", "resolve_uri": "false"}
        try:
            answer = studio.get("/api/tasks", include="id,data,total_annotations", **facts)
        except GoneError:  # the page after the last one
            return found
        for one in answer["tasks"]:
            found[str(one["data"].get("ticket"))].append((int(one["id"]), int(one.get("total_annotations") or 0)))
        seen += len(answer["tasks"])
        if seen >= answer["total"] or not answer["tasks"]:
            return found
        page += 1


@dataclass
class _Sending:
    """One run that brings what is missing. `lost`: sample_id → why its picture can't be shown."""

    lake: Lake
    version: Version
    settings: Settings
    studio: Studio
    plan: Plan
    project: int
    there: There
    lost: dict[str, str] = field(default_factory=dict)

    def run(self, *, show_guess: bool) -> int:
        """Import what is not there, page by page, in the batch's order; returns how many tasks."""
        left = [row for row in self.plan.rows if self.plan.tickets[row["sample_id"]] not in self.there]
        if not left:
            return 0
        projects.shut(self.studio, self.project)
        place = pictures.place(self.studio, self.project, self.settings.label_studio, f"secondlook-{self.plan.mark}")
        beside = self._beside(place)
        told = self._guesses() if show_guess else {}
        busy = self._asked_before()
        sent, size = 0, self.settings.label_studio.page
        with progress(f"sending {self.plan.batch}", len(left)) as advance:
            for start in range(0, len(left), size):
                page = left[start : start + size]
                urls = self._shown(place, page)
                made = []
                for row in page:
                    sample = row["sample_id"]
                    if sample in urls:
                        offered = self.plan.offered(row, beside)
                        guess = told.get(self.plan.contents[sample], "none") if show_guess else None
                        ticket = self.plan.tickets[sample]
                        one = tasks.task(self.plan.secret, self.plan.batch, ticket, urls[sample], offered, guess=guess)
                        passed = [tasks.asked_before(user) for user in busy.get(sample, ())]
                        made.append(one | {"annotations": passed} if passed else one)
                self._import(made)
                sent += len(made)
                advance(len(page))
        return sent

    def _import(self, made: Sequence[dict[str, Any]]) -> None:
        """Import a page of tasks. After a time-out, look what is there and import the rest."""
        left, tried = list(made), 1
        while left:
            try:
                answer = self.studio.post(f"/api/projects/{self.project}/import", json=left, return_task_ids="true")
                for one, number in zip(left, answer["task_ids"], strict=True):
                    self.there[one["data"]["ticket"]].append((int(number), 0))
                return
            except UnavailableError:
                if tried == TRIES:
                    raise
            tried += 1
            self.there.update(listed(self.studio, self.project))
            left = [one for one in left if one["data"]["ticket"] not in self.there]

    def _shown(self, place: Place, page: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """sample_id → URL of the pictures of a page, all of them there."""
        contents = {row["sample_id"]: self.plan.contents.get(row["sample_id"]) for row in page}
        self.lost |= {sample: "gone from its source" for sample, content in contents.items() if content is None}
        there, tickets = {name.rsplit(".", 1)[0]: name for name in place.urls}, self.plan.tickets
        names = {sample: there[tickets[sample]] for sample in contents if tickets[sample] in there}
        new = {sample: one for sample, one in contents.items() if one is not None and sample not in names}

        def files() -> Iterator[tuple[str, bytes]]:
            bounds = pictures.limits(self.settings.ingest)
            for sample, data, suffix in pictures.samples(self.lake, self.version, new, bounds, self.lost):
                names[sample] = tickets[sample] + suffix
                yield names[sample], data

        place.put(files())
        return {sample: place.urls[name] for sample, name in names.items()}

    def _beside(self, place: Place) -> dict[str, list[str]]:
        """Class of today → URLs of its reference pictures."""
        n = self.settings.label_studio.references
        wanted = {name for row in self.plan.rows for name in self.plan.names(row)} if n else set()
        chosen = references.chosen(self.lake, self.version, wanted, set(self.plan.contents.values()), n)
        contents = {content for some in chosen.values() for content in some}
        bounds = pictures.limits(self.settings.ingest)
        files = pictures.references(self.lake, self.version, contents, bounds, self.plan.mark)
        place.put(files.values())
        return {name: [place.urls[files[one][0]] for one in some if one in files] for name, some in chosen.items()}

    def _guesses(self) -> dict[str, str]:
        """Content → what the newest model takes it for, in words."""
        contents = pa.array(sorted(set(self.plan.contents.values())), pa.string())
        found = guesses(self.lake, self.version, contents)
        return {content: f"{one.classes[0]} ({one.probability:.0%})" for content, one in found.items()}

    def _asked_before(self) -> dict[str, list[int]]:
        """sample_id → who answered for the same picture in another batch, by their numbers: others are asked this time."""
        said = self.lake.latest("annotations", self.version, ["batch", "sample_id", "annotator", "state"])
        elsewhere = pc.and_(pc.not_equal(said["state"], "deleted"), pc.not_equal(said["batch"], self.plan.batch))
        said = said.filter(elsewhere)
        if not said.num_rows:
            return {}
        numbers = {name: number for number, name in changes.people(self.studio).items()}
        numbers |= {f"user-{number}": number for number in numbers.values()}
        samples = self.lake.latest("samples", self.version, ["sample_id", "content_id"])
        content = dict(zip(samples["sample_id"].to_pylist(), samples["content_id"].to_pylist(), strict=True))
        people: dict[str | None, set[int]] = defaultdict(set)
        for row in said.to_pylist():
            number = numbers.get(row["annotator"].lower())
            if number is not None:
                people[content.get(row["sample_id"])].add(number)
        return {sample: sorted(people[one]) for sample, one in self.plan.contents.items() if people.get(one)}


def _settle(studio: Studio, project: int, expected: int, there: There) -> int:
    """Remove tasks that are there twice, the one with answers stays; returns how many there are."""
    n = int(studio.get(f"/api/projects/{project}/")["task_number"])
    if n == expected and all(len(some) == 1 for some in there.values()):
        return n
    for some in listed(studio, project).values():
        _, *others = sorted(some, key=lambda one: (-one[1], one[0]))
        for number, answers in others:
            if not answers:
                studio.delete(f"/api/tasks/{number}/")
    return int(studio.get(f"/api/projects/{project}/")["task_number"])
