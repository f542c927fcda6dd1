"""`secondlook review archive`: a batch whose answering is over."""

from typing import Annotated, Any

import typer

from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review.pull import complaints
from secondlook.jobs.terminal.console import finish, out, say
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings


def archive(
    batch: Annotated[str, typer.Argument(help="Name of the batch, such as batch-7.")],
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Though pictures of it wait for an answer.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Delete its project, tasks and uploaded pictures from Label Studio.")
    ] = False,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Close a batch in Label Studio.

    Its last answers are taken and all ids compared; from then on `review pull` does not ask for it any more. The project stays as it is,
    with a title that says so; --remove deletes it there. The lake keeps all answers either way.

    Example:

        secondlook review archive batch-7 --remove
    """
    from secondlook.jobs.studio import archive as studio_archive
    from secondlook.jobs.studio.client import connect

    chosen = read_settings(settings, lake)
    studio = connect(chosen)
    try:
        summary: dict[str, Any] = studio_archive.run(
            Lake.open(chosen.lake), chosen, studio, batch, unfinished=unfinished, remove=remove
        )
    finally:
        studio.close()

    def lines() -> None:
        gone = " and removed from Label Studio" if remove else ""
        out().print(
            f"{batch}: archived{gone}, {summary['finished']:,} of {summary['tasks']:,} pictures answered", markup=False
        )
        for line in complaints({"refused": (summary["pulled"] or {}).get("refused", {})}):
            say(line, style="yellow")

    finish(summary, as_json=json, lines=lines)
