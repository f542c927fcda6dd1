"""`secondlook review pull`: people's answers come back."""

from pathlib import Path
from typing import Annotated

import typer

from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review.answers_file import run_pull
from secondlook.jobs.terminal.console import finish, out
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings


def pull(
    file: Annotated[Path, typer.Option("--from", metavar="FILE", help="CSV with annotator, key, label, seconds.")],
    batch: Annotated[
        str | None,
        typer.Option("--batch", help="The batch they answer. Default: the newest that asked for each picture."),
    ] = None,
    new_classes: Annotated[
        bool, typer.Option("--new-classes", help="Take classes that the lake does not know.")
    ] = False,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Take people's answers back.

    The file is a CSV with the columns annotator, key, label, seconds. The label is a class, or one of "unsure", "none of these",
    "bad picture". The same file twice adds nothing; a changed answer of the same person is kept beside the earlier one.

    Example:

        secondlook review pull --from answers.csv
    """
    chosen = read_settings(settings, lake)
    summary = run_pull(Lake.open(chosen.lake), chosen, file, batch=batch, new_classes=new_classes)

    def lines() -> None:
        text = f"{summary['added']} new answers, {summary['changed']} changed, {summary['known']} known already"
        out().print(text, markup=False)
        if summary["version"]:
            out().print("`secondlook commit` turns them into labels", markup=False)

    finish(summary, as_json=json, lines=lines)
