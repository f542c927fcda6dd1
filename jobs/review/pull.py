"""`secondlook review pull`: people's answers come back."""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review.answers_file import run_pull
from secondlook.jobs.terminal.console import finish, out, progress, say
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UnavailableError, UserError


def pull(
    file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="CSV with annotator, key, label, seconds.")
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option("--batch", help="The batch they answer. Default: the newest that asked for each picture."),
    ] = None,
    new_classes: Annotated[
        bool, typer.Option("--new-classes", help="Take classes that the lake does not know.")
    ] = False,
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Compare all ids too: finds what was deleted with its task.")
    ] = False,
    watch: Annotated[
        float | None, typer.Option("--watch", metavar="SECONDS", min=1.0, help="Go on, and ask so often.")
    ] = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Take people's answers back.

    From Label Studio, where [label_studio] url names one: what changed since the last pull, in all batches that are open there. Each answer
    goes to the picture that its task names, and what can't be taken is counted by reason. Pull as often as you like: nothing is taken
    twice. `--reconcile`, and each `secondlook commit`, compares all ids, so that deleted tasks are noticed.

    With --from, from a CSV with the columns annotator, key, label, seconds. The label is a class, or one of "unsure", "none of these",
    "bad picture". The same file twice adds nothing; a changed answer of the same person is kept beside the earlier one.

    Example:

        secondlook review pull
        secondlook review pull --from answers.csv
    """
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    if file is None:
        if batch is not None or new_classes:
            raise UserError("--batch and --new-classes are for answers of a file; give it with --from")
        if not chosen.label_studio.url:
            raise UserError(
                "answers come from a file (--from answers.csv), or from Label Studio: set [label_studio] url"
            )
        from_studio(opened, chosen, reconcile=reconcile, watch=watch, json=json)
        return
    if reconcile or watch is not None:
        raise UserError("--reconcile and --watch are for answers of Label Studio, not of a file")
    summary = run_pull(opened, chosen, file, batch=batch, new_classes=new_classes)
    finish(summary, as_json=json, lines=lambda: _lines(summary))


def from_studio(lake: Lake, settings: Settings, *, reconcile: bool, watch: float | None, json: bool) -> None:
    """Pull from Label Studio, once or (watch: seconds between) until interrupted."""
    from secondlook.jobs.studio import pull as studio_pull
    from secondlook.jobs.studio.client import connect

    studio = connect(settings)
    try:
        while True:
            try:
                with progress("pull", None, "batches") if watch is None else nullcontext() as advance:
                    summary = studio_pull.run(lake, settings, studio, full=reconcile, advance=advance)
                if watch is None or summary["version"]:
                    finish(summary, as_json=json, lines=lambda done=summary: _lines(done))  # type: ignore[misc]
            except UnavailableError as problem:
                if watch is None:
                    raise
                say(f"{problem}; trying again", style="yellow")
            if watch is None:
                return
            time.sleep(watch)
    finally:
        studio.close()


def _lines(summary: Mapping[str, Any]) -> None:
    out().print(told(summary), markup=False)
    for line in complaints(summary):
        say(line, style="yellow")
    if summary["version"]:
        out().print("`secondlook commit` turns them into labels", markup=False)


def told(summary: Mapping[str, Any]) -> str:
    """What a pull did, in a sentence."""
    parts = [f"{summary['added']} new answers", f"{summary['changed']} changed"]
    if summary.get("deleted"):
        parts.append(f"{summary['deleted']} deleted")
    return ", ".join([*parts, f"{summary['known']} known already"])


def complaints(summary: Mapping[str, Any]) -> list[str]:
    """What a pull could not take, a line for each reason; reasons may quote what came, so they are no markup."""
    lines = [f"{n} answer{'s' * (n > 1)} refused: {reason}" for reason, n in summary.get("refused", {}).items()]
    gone = (
        "the project of {0} is gone from Label Studio; its answers stay, and `secondlook review archive {0}` settles it"
    )
    lines += [
        f"{name} fails the gold questions and is paused: `secondlook review annotators`"
        for name in summary.get("paused", [])
    ]
    lines += [gone.format(batch) for batch in summary.get("vanished", [])]
    other = "{} is answered at {}, which is not [label_studio] url; it was not asked"
    return lines + [other.format(batch, server) for batch, server in summary.get("elsewhere", {}).items()]
