"""`secondlook explore`: a dataset of the lake in FiftyOne, to look around; and what people tagged there, back."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from secondlook.jobs.explore import dataset as mirror
from secondlook.jobs.explore.database import fiftyone
from secondlook.jobs.explore.pictures import files
from secondlook.jobs.explore.server import serve
from secondlook.jobs.explore.slices import facts
from secondlook.jobs.explore.tags import tagged, take_back, untag
from secondlook.jobs.explore.views import save_plot, save_views, save_workspace
from secondlook.jobs.history.class_changes import author_here
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.terminal.console import finish, out, say
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError

MANY = 100_000  # pictures, about ten minutes
WHY = {
    "gone": "are not in the lake any more",
    "contradicting": "have tags that contradict one another, also of equal pictures",
    "changed": "got another label since the dataset was opened: look again",
    "without a label": "have no label to keep",
    "unknown class": "name a class that is not in the list, or waits for a sign-off",
}


def run(
    lake: Lake,
    settings: Settings,
    *,
    limit: int | None = None,
    rule: str | None = None,
    split: str | None = None,
    as_of: str | int | None = None,
    pictures: Path | None = None,
) -> dict[str, Any]:
    """Make or update the dataset of a lake in FiftyOne; returns dataset (its name), samples, added, updated, removed, points, views, and the version read.

    `pictures`: the folder for pictures that can't be shown where they lie; by default below the user's cache.
    """
    from secondlook.jobs.lint.rules import RULES

    version = lake.at(as_of)
    found = facts(lake, version, limit=limit, rule=rule, split=split)
    if len(found.rows) > MANY:
        say(f"{len(found.rows):,} pictures take FiftyOne a while; --limit, --rule or --split open a slice")
    name = mirror.name_of(lake, version.id if as_of is not None else None)
    folder = pictures or cache() / name
    paths = files(lake, version, found.rows, found.columns["format"], folder, settings.explore.cache_gb)
    fo = fiftyone()
    held, counts = mirror.build(fo, name, lake, version, found, paths, settings.estimated)
    points = save_plot(held, lake, version, found)
    views = save_views(fo, held, found, {code: one.name for code, one in RULES.items()})
    save_workspace(fo, held)
    return {
        "dataset": name,
        "samples": len(found.rows),
        **counts,
        "points": points,
        "views": views,
        "read": version.id,
    }


def cache() -> Path:
    """The folder below which each dataset has one for its pictures."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "secondlook" / "explore"


def run_pull(lake: Lake, *, actor: str, now: datetime | None = None) -> dict[str, Any]:
    """Take the tags of a lake's dataset back, then off; returns what `take_back` did, and the dataset."""
    name = mirror.name_of(lake)
    fo = fiftyone()
    found, opened = tagged(fo, name)
    summary, safe = take_back(lake, found, opened=opened, actor=actor, now=now or datetime.now(UTC))
    untag(fo, name, safe, found)
    return {"dataset": name, **summary}


def explore(
    pull: Annotated[bool, typer.Option("--pull", help="Take back what was tagged; open nothing.")] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="At most N pictures: a sample, or with --rule the worst."),
    ] = None,
    rule: Annotated[
        str | None, typer.Option("--rule", metavar="CODE", help="Only pictures that this rule found.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", metavar="NAME", help="Only pictures of this split.")] = None,
    app: Annotated[
        bool, typer.Option("--app/--no-app", help="Open the App, or only bring the dataset up to date.")
    ] = True,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where the App listens, on 127.0.0.1.")] = 5151,
    author: Annotated[
        str | None,
        typer.Option("--author", metavar="NAME", help="Whose tags these are. Default: git's user.name, else yours."),
    ] = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Look around in FiftyOne: pictures with labels given and decided, predictions, findings, embeddings.

    Findings are tags (SL101 …) with a saved view each; so has each batch, and what is disputed, unlabeled or changed. Tag samples there
    `keep` (the label is right), `label:NAME` (this one is), `drop` (leave it out of exports) or `relabel` (ask people), and take
    that back with --pull: decisions are a batch that can be reverted, `relabel` is a batch to send. The dataset stays in FiftyOne, and a
    later run brings it up to date.

    Example:

        secondlook explore --rule SL101 --limit 500
        secondlook explore --pull
    """
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    if pull:
        if limit or rule or split or as_of:
            raise UserError(
                "--pull takes all tags back, whatever was shown: leave --limit, --rule, --split and --as-of out"
            )
        summary = run_pull(opened, actor=author_here(author))
        shown = read_classes(opened, opened.at()).told(summary)
        finish(shown, as_json=json, lines=lambda: out().print("\n".join(pulled(shown)), markup=False))
        return
    summary = run(opened, chosen, limit=limit, rule=rule, split=split, as_of=as_of)
    finish(summary, as_json=json, lines=lambda: out().print(made(summary), markup=False))
    if app:
        fo = fiftyone()
        held = fo.load_dataset(summary["dataset"])
        serve(fo, held, save_workspace(fo, held), port)


def made(summary: Mapping[str, Any]) -> str:
    """What the dataset holds, in a line."""
    kept = f", {summary['kept']} with tags kept" if summary["kept"] else ""
    return (
        f"{summary['dataset']}: {summary['samples']:,} pictures ({summary['added']:,} added, {summary['removed']:,} removed{kept}), "
        f"{len(summary['views'])} saved views, {summary['points']:,} points, of version {summary['read']}"
    )


def pulled(summary: Mapping[str, Any]) -> list[str]:
    """What came back, in lines."""
    from secondlook.pipeline.report.formats import printable

    lines = [
        f"{summary['kept']} kept, {summary['labeled']} labeled, {summary['dropped']} dropped"
        + (f" (version {summary['version']}, batch {summary['batch']})" if summary["batch"] else "")
    ]
    if summary["queue"]:
        lines.append(
            f"{summary['asked']} to be asked: batch {summary['queue']}; `secondlook review push --batch {summary['queue']}` sends it"
        )
    if summary["known"]:
        lines.append(f"{summary['known']} were pulled before")
    for reason, keys in summary["refused"].items():
        some = ", ".join(keys[:5]) + (" …" if len(keys) > 5 else "")
        lines.append(printable(f"{len(keys)} {WHY[reason]}, and keep their tags: {some}"))
    return lines
