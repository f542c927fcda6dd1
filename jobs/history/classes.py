"""`secondlook classes list`: the classes, how many images bear each, and which wait for a person's sign-off."""

from typing import Annotated, Any

import pyarrow.compute as pc
import typer

from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.terminal.console import finish, out, say
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.pipeline.report.formats import printable


def run(lake: Lake, *, as_of: str | int | None = None, reveal: bool = False) -> dict[str, Any]:
    """Classes in order with the number of samples that bear each, and the number of those without a label.

    `quarantined`: those of them that wait for a sign-off: number, name, kind, why, pictures. Their names are masked unless `reveal`.
    """
    version = lake.at(as_of)
    classes = class_lists.read(lake, version)
    labels = dataset.samples(lake, version, reveal=True)["label"]
    counts = {row["values"]: row["counts"] for row in pc.value_counts(labels.drop_null()).to_pylist()}
    names = dataset.all_class_names(lake, version, classes)
    shown = {name: name if reveal else classes.shown(name) for name in names}
    waiting = [(name, found) for name in names if (found := classes.concern(name)) is not None]
    return {
        "version": version.id,
        "classes": {shown[name]: counts.get(name, 0) for name in names},
        "unlabeled": labels.null_count,
        "quarantined": [
            {"number": classes.listed.numbers.get(name), "name": shown[name], "pictures": counts.get(name, 0)}
            | {"kind": found.kind, "why": found.why}
            for name, found in waiting
        ],
    }


def list_classes(
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show the names that are masked since they wait for a sign-off.")
    ] = False,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """The classes, and how many images bear each.

    Classes whose name SL501 found offensive or sensitive wait for a person: training, review and export leave them out, and their name is
    masked. `--reveal` shows it, so that somebody can decide: `secondlook classes rename`, `merge`, `retire`, or `sign-off`.

    Example:

        secondlook classes list --as-of head~1
    """
    summary = run(Lake.open(read_settings(settings, lake).lake), as_of=as_of, reveal=reveal)
    waiting = {one["name"]: one for one in summary["quarantined"]}

    def lines() -> None:
        for name, n in summary["classes"].items():
            why = (
                f"  waits for a sign-off (#{waiting[name]['number']}): {waiting[name]['why']}"
                if name in waiting
                else ""
            )
            out().print(f"{n:>9,}  {printable(name)}{why}", markup=False)
        if summary["unlabeled"]:
            out().print(f"{summary['unlabeled']:>9,}  without a label", markup=False, style="dim")
        if waiting and not reveal:
            say("`secondlook classes list --reveal` shows the names that wait")

    finish(summary, as_json=json, lines=lines)
