"""`secondlook classes merge | rename | split | retire | sign-off | synonyms`: what people decide about classes, as events.

Each is one row of the table `classes`, with author, time and reason. No label is rewritten: see docs/decisions/0011.
"""

import getpass
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from secondlook.jobs.files.landing import refuse_taken
from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.classes import Classes
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Attempt, Lake, Version
from secondlook.jobs.review import batches, queue
from secondlook.jobs.terminal.console import finish, out, say
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling.acquire.choose import arrange
from secondlook.labeling.class_changes import check, check_undo, cleaned, find, told
from secondlook.labeling.class_list import (
    MERGED,
    RENAMED,
    RETIRED,
    SIGNED_OFF,
    SPLIT,
    SYNONYMS,
    UNDONE,
    ClassEvent,
)
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.report.formats import printable

VERBS = {
    MERGED: "merge",
    RENAMED: "rename",
    SPLIT: "split",
    RETIRED: "retire",
    SIGNED_OFF: "sign-off",
    SYNONYMS: "synonyms",
    UNDONE: "undo",
}
LONGEST_REASON = 1000  # characters


def run(
    lake: Lake,
    event: str,
    name: str,
    *,
    reason: str,
    author: str,
    into: str | None = None,
    names: Sequence[str] = (),
    to: Path | None = None,
    pictures: Path | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Do one thing to a class, named as it is or as `#7`; `into` and `names` are those of labeling.class_list.ClassEvent.

    Returns event, class, into, names, author, reason, pictures (that bear the class), batch (of this event, to revert it) and the
    version; for a split also review_batch and asked. Names are masked that wait for a sign-off. Raises UserError where it makes no sense.
    """
    _refuse_empty(reason, author)
    for target in (to, pictures):
        if target is not None:
            refuse_taken(target)
    version = lake.at()
    classes = class_lists.read(lake, version)
    borne = dataset.all_class_names(lake, version, classes)
    name = find(name, classes.listed, borne, classes.shown)
    if event == MERGED:
        into = find(into or "", classes.listed, borne, classes.shown)
    elif event == RENAMED:
        into = cleaned(into or "")
    elif event == SPLIT:
        names = [one if one in borne else cleaned(one) for one in names]
    inputs = {"tables": version.tables.get("classes"), "what": [event, name]}
    attempt = lake.attempt(f"classes {VERBS[event]}", inputs, base=version)
    made = ClassEvent(
        attempt.seq, event, name, into, tuple(names), author, now or datetime.now(UTC), reason, f"classes-{attempt.seq}"
    )
    check(made, classes.listed, borne, classes.shown)
    _check_sign_off(made, classes)
    return _commit(lake, version, attempt, made, to, pictures)


def run_undo(lake: Lake, batch: str, *, reason: str, author: str, now: datetime | None = None) -> dict[str, Any]:
    """Take an event of a class back, by its batch: every label reads as if it had not been. Returns what `run` does.

    Raises UserError where it was taken back before, or where a later event rests on it.
    """
    _refuse_empty(reason, author)
    version = lake.at()
    classes = class_lists.read(lake, version)
    given = lake.latest("labels", version, ["label"])["label"]
    its = check_undo(batch, classes.events, pc.unique(given).drop_null().to_pylist(), classes.shown)
    inputs = {"tables": version.tables.get("classes"), "what": batch}
    attempt = lake.attempt("classes undo", inputs, base=version)
    made = ClassEvent(
        attempt.seq, UNDONE, its.name, batch, (), author, now or datetime.now(UTC), reason, f"classes-{attempt.seq}"
    )
    return _commit(lake, version, attempt, made, None, None)


def _refuse_empty(reason: str, author: str) -> None:
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise UserError(f"--reason takes 1 to {LONGEST_REASON:,} characters that say why, got {len(reason.strip()):,}")
    if not author.strip():
        raise UserError("--author takes the name of who decides this, got nothing")


def _check_sign_off(event: ClassEvent, classes: Classes) -> None:
    if event.event != SIGNED_OFF or classes.concern(event.name) is not None:
        return
    done = next((one for one in reversed(classes.events) if one.event == SIGNED_OFF and one.name == event.name), None)
    if event.name in classes.listed.signed_off and done is not None:
        raise UserError(f"{event.name} was signed off before, by {done.actor} ({done.batch})")
    raise UserError(f"there is nothing to sign off: {event.name} has no finding SL501, so it is in use")


def _commit(
    lake: Lake, version: Version, attempt: Attempt, event: ClassEvent, to: Path | None, pictures: Path | None
) -> dict[str, Any]:
    """The event's row, the review of a split, and the version; the summary is as people may see it afterwards."""
    row = {column: getattr(event, column) for column in class_lists.COLUMNS if column != "seq"}
    attempt.append("classes", rows_of("classes", [row | {"names": list(event.names) or None}]))
    after = class_lists.after(class_lists.read(lake, version), event)
    bearing = dataset.samples(lake, version, reveal=True).select(["sample_id", "content_id", "label"])
    bearing = bearing.filter(pc.equal(bearing["label"], event.name).fill_null(False))
    tasks = _tasks(lake, version, attempt, event, bearing) if event.event == SPLIT else []
    summary: dict[str, Any] = {
        "event": event.event,
        "class": after.shown(event.name),
        "into": after.shown(event.into) if event.into and event.event != UNDONE else event.into,
        "names": [after.shown(one) for one in event.names] if event.event != SYNONYMS else len(event.names),
        "author": event.actor,
        "reason": after.told(event.reason),
        "pictures": bearing.num_rows,
        "batch": event.batch,
    }
    if event.event == SPLIT:
        summary |= {"review_batch": tasks[0]["batch"] if tasks else None, "asked": len(tasks)}
    if not tasks:
        return summary | {"version": attempt.commit(summary).id}
    attempt.append("batches", rows_of("batches", tasks))
    with batches.queue_files(lake, version, tasks, to, pictures, show_guess=False):
        made = attempt.commit(summary)
    return summary | {"version": made.id}


def _tasks(lake: Lake, version: Version, attempt: Attempt, event: ClassEvent, bearing: Any) -> list[dict[str, Any]]:
    """Rows of `batches` that ask for every content of the class once, the new classes as choices."""
    contents: dict[str, str] = {}
    for content, sample in zip(bearing["content_id"].to_pylist(), bearing["sample_id"].to_pylist(), strict=True):
        contents.setdefault(content, sample)  # equal pictures are asked for once
    guess = queue.guesses(lake, version, pa.array([*contents], pa.string()))
    groups = [" / ".join(sorted(guess[content].classes)) if content in guess else "" for content in contents]
    samples = list(contents.values())
    facts = {"batch": f"batch-{attempt.seq}", "strategy": SPLIT, "choices": sorted(event.names), "time": event.time}
    order = arrange(groups, generator(attempt.seq, "classes", "split"))
    return [facts | {"sample_id": samples[at], "position": n} for n, at in enumerate(order)]


# The verbs

ClassArgument = Annotated[str, typer.Argument(metavar="CLASS", help="The class, by its name or as #7, by its number.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the event.")]
AuthorOption = Annotated[
    str | None,
    typer.Option("--author", metavar="NAME", help="Who decides this. Default: git's user.name, or yours here."),
]


def author_here(asked: str | None) -> str:
    """Who is named by --author, else git's user.name, else the user of this machine."""
    if asked is not None:
        return asked
    git = shutil.which("git")
    if git is not None:
        found = subprocess.run([git, "config", "user.name"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
        if found.stdout.strip():
            return found.stdout.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UserError("this machine does not say who you are; name yourself with --author") from None


def _do(
    event: str,
    name: str,
    reason: str,
    author: str | None,
    place: tuple[str | None, Path | None],
    *,
    json: bool,
    **more: Any,
) -> None:
    lake, settings = place
    chosen = read_settings(settings, lake)
    summary = run(Lake.open(chosen.lake), event, name, reason=reason, author=author_here(author), **more)
    finish(summary, as_json=json, lines=lambda: show(summary))


def show(summary: Mapping[str, Any]) -> None:
    """What a change of classes did, for people."""
    names = tuple(summary["names"]) if isinstance(summary["names"], list) else ()
    event = ClassEvent(0, summary["event"], summary["class"], summary["into"], names)
    out().print(printable(f"{summary['class']}: {told(event, str)}"), markup=False)
    follows = (
        f"{summary['pictures']:,} pictures follow; " if summary["event"] in {MERGED, RENAMED, RETIRED, SPLIT} else ""
    )
    say(f"{follows}version {summary['version']}; `secondlook revert {summary['batch']}` takes it back")
    if summary.get("review_batch"):
        batch = summary["review_batch"]
        say(f"{summary['asked']:,} pictures go to review: `secondlook review push --batch {batch} --to queue.csv`")


def merge(
    name: ClassArgument,
    into: Annotated[str, typer.Argument(metavar="INTO", help="The class that its labels read as from now on.")],
    reason: ReasonOption,
    author: AuthorOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Make two classes one: labels of CLASS read as INTO.

    No label is rewritten, so `secondlook revert` of this event brings the class back as it was. Answers and predictions that
    name the old class count for the new one.

    Example:

        secondlook classes merge automobile car --reason "two names for one thing (SL502)"
    """
    _do(MERGED, name, reason, author, (lake, settings), json=json, into=into)


def rename(
    name: ClassArgument,
    new: Annotated[str, typer.Argument(metavar="NEW", help="What it is called from now on.")],
    reason: ReasonOption,
    author: AuthorOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Give a class another name.

    The old name still means this class, in answers, in the source's labels and in models.

    Example:

        secondlook classes rename n02084071 dog --reason "people can't read ids"
    """
    _do(RENAMED, name, reason, author, (lake, settings), json=json, into=new)


def split(
    name: ClassArgument,
    into: Annotated[
        list[str], typer.Option("--into", metavar="NAME", help="A class of it; two or more. It may be one.")
    ],
    reason: ReasonOption,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write the queue to this CSV file.")] = None,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", metavar="DIR", help="Copy the pictures here, under names that tell nothing."),
    ] = None,
    author: AuthorOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Make a class several: its pictures go to review, with the new classes as choices.

    Until people have answered, the pictures have no label. The class itself may be one of the new ones.

    Example:

        secondlook classes split dog --into dog --into wolf --reason "wolves were labeled as dogs" --to queue.csv
    """
    _do(SPLIT, name, reason, author, (lake, settings), json=json, names=into, to=to, pictures=pictures)


def retire(
    name: ClassArgument,
    reason: ReasonOption,
    author: AuthorOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Give a class up: its pictures stay, without a label, and may be asked for as such.

    Example:

        secondlook classes retire other --reason "it meant whatever nobody had time for"
    """
    _do(RETIRED, name, reason, author, (lake, settings), json=json)


def sign_off(
    name: ClassArgument,
    reason: ReasonOption,
    author: AuthorOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Say that a class may be used under its name, though SL501 stopped it.

    `secondlook classes list --reveal` shows what waits. From then on it is trained, offered in review and exported, and shown in full.

    Example:

        secondlook classes sign-off "#7" --reason "cock is the rooster of ImageNet here; looked at all 50 pictures"
    """
    _do(SIGNED_OFF, name, reason, author, (lake, settings), json=json)


def synonyms(
    name: ClassArgument,
    others: Annotated[
        list[str], typer.Argument(metavar="SYNONYM…", help="All of its other names, or WordNet 3.0 ids.")
    ],
    reason: ReasonOption,
    author: AuthorOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Say what else a class is called: names, or its WordNet id, which tells one meaning of a word from another.

    They take the place of those that were given before, and end a sign-off, as it was given without them.

    Example:

        secondlook classes synonyms cock rooster n01514668 --reason "the bird"
    """
    _do(SYNONYMS, name, reason, author, (lake, settings), json=json, names=others)
