"""The two ways to read a project: what people touched since the last time, and all that there is, compared by ids.

What was deleted with its task never shows up as touched, and neither does what a dying server left half saved. So the second way
is taken before a commit.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from secondlook.jobs.studio import changes
from secondlook.jobs.studio.changes import Brief, Seen, Task
from secondlook.jobs.studio.client import GoneError, Studio
from secondlook.jobs.studio.projects import Project
from secondlook.labeling.studio.answers import ticket_of
from secondlook.pipeline.core.config import Settings

NEVER = datetime.min.replace(tzinfo=UTC)


def touched(studio: Studio, project: Project, settings: Settings) -> Seen:
    """What people touched in a project since it was last read; raises GoneError where there is no such project."""
    since, overlap_s = project.row["cursor"], settings.label_studio.overlap_s
    tasks, newest = changes.touched(studio, project.number, since, overlap_s)
    return changes.completed(studio, project.number, tasks, _not_in(tasks, project), newest)


def compared(studio: Studio, project: Project, settings: Settings) -> Seen:
    """What differs between a project and what is held of it.

    The list has each answer's id and time, so only what differs is read: a project that nobody touched costs the list alone.
    Raises GoneError where the project is gone, or is another batch's: then what was taken of it stays.
    """
    del settings
    there, newest = changes.listed(studio, project.number)
    live = project.live()
    expected = _newest_of_each(there.values())
    differing = {one.task for n, one in expected.items() if n not in live or live[n]["changed"] != one.changed}
    lost = {n: project.tickets[row["sample_id"]] for n, row in live.items() if n not in expected}
    differing |= {there[n].task for n in lost if n in there}
    if lost and not changes.is_of(studio, project.number, project.mark):
        raise GoneError(f"project {project.number} is no longer the one of {project.batch}")
    answered = len({one.task for one in there.values()})
    tasks = changes.of_tasks(studio, project.number, differing, answered)
    return changes.completed(studio, project.number, tasks, lost | _not_in(tasks, project), newest)


def _not_in(tasks: Mapping[int, Task], project: Project) -> dict[int, str]:
    """Held answers (number → ticket) for pictures that these tasks show, and that are not in these: deleted, or in a twin task."""
    there = {one["id"] for task in tasks.values() for one in task["annotations"]}
    named = {ticket_of(task) for task in tasks.values()}
    held = {n: project.tickets[row["sample_id"]] for n, row in project.live().items()}
    return {n: ticket for n, ticket in held.items() if ticket in named and n not in there}


def _newest_of_each(answers: Iterable[Brief]) -> dict[int, Brief]:
    """The answer of each person for each task that should be held, by id: skipped ones are none."""
    newest: dict[tuple[int, int | None], Brief] = {}
    for one in sorted(answers, key=lambda one: (one.changed or NEVER, one.number)):
        if not one.cancelled:
            newest[one.task, one.user] = one
    return {one.number: one for one in newest.values()}
